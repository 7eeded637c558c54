/**
 * What the console's WebSocket says, as types (the wire's own names; times are UTC ms).
 * The server's side of it is agent/messages/ and agent/console/.
 *
 * @typedef {"good"|"warmup"|"over_range"|"under_range"|"fault"|"cal_due"|"stale"|"simulated"|"invalid"} Quality
 *
 * @typedef {object} Fix
 * @property {number} [t]
 * @property {number} mode
 * @property {string} [crs]
 * @property {number|null} [lat] degrees, WGS-84
 * @property {number|null} [lon] degrees, WGS-84
 * @property {number|null} [alt] m
 * @property {number|null} [speed] m/s
 * @property {number|null} [track] degrees true
 * @property {number|null} [eph] m, 95 %
 * @property {number|null} [n_sat]
 * @property {string} [status]
 * @property {string} [source]
 *
 * @typedef {object} Latest the newest value of one quantity of one source
 * @property {number} t
 * @property {number|null} [value]
 * @property {string} [unit]
 * @property {Quality} quality
 * @property {boolean} [late]
 * @property {string} [clock]
 * @property {string} source
 * @property {string} quantity
 * @property {number|null} [full_scale]
 *
 * @typedef {Latest & {seq: number, fix?: Fix|null}} ReadingRecord
 *
 * @typedef {object} Alarm
 * @property {string} alarm
 * @property {string} code
 * @property {number} rank 1 is the most urgent
 * @property {string} change
 * @property {"normal"|"unacknowledged"|"acknowledged"|"returned_unacknowledged"} state
 * @property {string} source
 * @property {string} quantity
 * @property {number|null} [limit]
 * @property {string} [limit_basis]
 * @property {Latest|null} [reading]
 * @property {Fix|null} [fix]
 * @property {number|null} [delay_ms]
 * @property {number|null} [since]
 * @property {string} [by]
 *
 * @typedef {Alarm & {t: number, late?: boolean, seq?: number}} AlarmRecord
 *
 * @typedef {object} EventRecord
 * @property {number} t
 * @property {string} event
 * @property {string} [source]
 * @property {string} [detail]
 * @property {boolean} [late]
 * @property {Record<string, unknown>} [data]
 *
 * @typedef {object} AckRecord
 * @property {number} t
 * @property {string} id
 * @property {string} verb
 * @property {"done"|"refused"|"failed"} outcome
 * @property {string} [code]
 * @property {string} [detail]
 * @property {string} [by]
 *
 * @typedef {object} Camera
 * @property {string} name
 * @property {string} [state]
 * @property {string} [detail]
 * @property {boolean} [recording]
 *
 * @typedef {object} Source
 * @property {string} name
 * @property {string} driver
 * @property {string} state
 * @property {string} [detail]
 * @property {string} [place]
 * @property {string} [serial]
 * @property {string} [evidence] how sure its driver is
 * @property {string} [calibrated] day, ISO 8601
 * @property {string} [calibrated_by]
 * @property {string} [calibration_due] the first day on which it is overdue
 *
 * @typedef {object} LimitStatus a set point in force at a unit
 * @property {string} quantity
 * @property {string} unit
 * @property {number} [low]
 * @property {number} [high]
 * @property {number} [deficient]
 * @property {number} [critical]
 * @property {string} [basis]
 * @property {number} [stel]
 * @property {number} [twa]
 * @property {string} [source] only this source's
 *
 * @typedef {object} Air by which ppm become mg/m3
 * @property {number} temperature_c
 * @property {number} pressure_hpa
 * @property {string[]} [measured] which of `temperature` and `pressure` the unit measures
 * @property {Record<string, number>} [mg_m3_per_ppm]
 *
 * @typedef {object} Dose of one gas by one sensor
 * @property {string} source
 * @property {string} quantity
 * @property {string} unit
 * @property {number} stel at least so much
 * @property {number} twa at least so much
 * @property {number|null} [stel_limit]
 * @property {number|null} [twa_limit]
 * @property {string} [basis]
 * @property {number} [peak]
 * @property {number} [dose] unit hours
 * @property {number} [coverage] 0 to 1
 * @property {number} [coverage_15min] 0 to 1
 *
 * @typedef {object} Exposure
 * @property {string} [wearer]
 * @property {string} [wearer_id]
 * @property {number} since
 * @property {number} until
 * @property {Dose[]} [doses]
 *
 * @typedef {object} Sos a call for help
 * @property {"queued"|"reached"|"unconfirmed"|"confirmed"|"cancelled"} stage
 * @property {boolean} [silent]
 * @property {number} [since]
 * @property {string} [by]
 * @property {string} [reason]
 *
 * @typedef {object} Zone
 * @property {string} id
 * @property {Record<string, string>} [name]
 * @property {"hot"|"warm"|"cold"} kind
 * @property {boolean|null} [inside]
 * @property {[number, number]|null} [center]
 * @property {number|null} [radius_m]
 * @property {[number, number][]} [polygon]
 *
 * @typedef {object} Person whoever carries a unit, and what protects them
 * @property {Sos|null} [sos]
 * @property {string} [motion]
 * @property {number|null} [no_motion_at]
 * @property {"waiting"|"due"|"missed"} [check_in]
 * @property {number|null} [check_in_due]
 * @property {boolean} [driving]
 * @property {Zone[]} [zones]
 * @property {boolean} [protected]
 * @property {string[]} [unprotected]
 *
 * @typedef {object} Status
 * @property {Person} [person]
 * @property {string} unit
 * @property {Record<string, string>} name
 * @property {string} profile
 * @property {string} mark
 * @property {string} software
 * @property {number} t
 * @property {string} clock
 * @property {string} state
 * @property {number} [pending]
 * @property {OutboxStatus|null} [outbox]
 * @property {Source[]} [sources]
 * @property {Camera[]} [cameras]
 * @property {string[]} [verbs]
 * @property {LimitStatus[]} [limits]
 * @property {string[]} [unlimited] gases that nothing judges, `quantity` or `source/quantity`
 * @property {Air|null} [air]
 * @property {Exposure|null} [exposure]
 * @property {import("./nearby.js").Neighbours|null} [neighbours]
 * @property {import("./orders.js").ShownMessage[]} [messages]
 * @property {import("./orders.js").Task[]} [tasks]
 * @property {string} [incident]
 * @property {import("./ready.js").Selftest|null} [selftest]
 * @property {import("./advice.js").Advice|null} [advice]
 *
 * @typedef {{received: number, repeated: number, missing: number}} Counts
 * @typedef {[number, number|null]} Point UTC ms and value
 *
 * @typedef {object} UnitState
 * @property {Status|null} [status]
 * @property {Record<string, string>} [links]
 * @property {Record<string, Latest>} [latest]
 * @property {Fix|null} [fix]
 * @property {[number, number, number][]} [track] t, lat, lon
 * @property {Record<string, Point[]>} [series]
 * @property {Alarm[]} [alarms]
 * @property {Counts} [counts]
 * @property {EventRecord[]} [events]
 *
 * @typedef {{kind: "none"|"pmtiles"|"raster", url?: string|null, datum?: string|null}} MapSource
 *
 * @typedef {object} Hello
 * @property {string} org
 * @property {boolean} exercise
 * @property {boolean} instructor
 * @property {string} lang
 * @property {string} version
 * @property {number} now UTC ms of the server
 * @property {MapSource} map
 *
 * @typedef {object} DrillSource
 * @property {string} id
 * @property {string} gas
 * @property {number} lat
 * @property {number} lon
 * @property {number} rate_kg_s
 * @property {boolean} active
 *
 * @typedef {object} Inject
 * @property {string} id
 * @property {string} kind
 * @property {string} [unit]
 * @property {Record<string, string>} [label]
 * @property {number|null} [at_s]
 * @property {boolean} [done]
 *
 * @typedef {{level: string, ppm: number, polygon: [number, number][]}} Footprint
 *
 * @typedef {object} DrillState what only an instructor gets is optional
 * @property {string} scenario
 * @property {Record<string, string>} [title]
 * @property {number} t_s
 * @property {number|null} [duration_s]
 * @property {number} [speed]
 * @property {string} state `running`, `paused`, `ended`
 * @property {string} [reason] why it has ended: `duration`, `instructor`, `real_emergency` ...
 * @property {{lat: number, lon: number}|null} [center]
 * @property {{speed_m_s: number, from_deg: number}|null} [wind]
 * @property {DrillSource[]} [sources]
 * @property {Footprint[]} [footprint]
 * @property {Inject[]} [injects]
 *
 * @typedef {{depth: number, oldest_s?: number, bytes?: number, dropped?: Record<string, number>}} OutboxStatus
 *
 * @typedef {{unit: string, camera: string, t: number, url: string}} Still
 *
 * @typedef {(
 *   | {type: "hello"} & Hello
 *   | {type: "snapshot", units: Record<string, UnitState>}
 *   | {type: "status", unit: string, status: Status}
 *   | {type: "link", unit: string, path: string, state: string, t?: number}
 *   | {type: "records", unit: string, records: ReadingRecord[]}
 *   | {type: "alarm", unit: string, record: AlarmRecord}
 *   | {type: "active", unit: string, alarms: Alarm[]}
 *   | {type: "event", unit: string, record: EventRecord}
 *   | {type: "ack", unit: string, record: AckRecord}
 *   | {type: "counts", unit: string, counts: Counts}
 *   | {type: "still"} & Still
 *   | {type: "drill", state: DrillState|null}
 *   | {type: "broker", state: string, detail?: string}
 * )} Message
 */

export {};
