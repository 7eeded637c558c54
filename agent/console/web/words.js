/**
 * Every word that the page shows, both languages side by side.  `{name}` is filled in.
 * tests/console/page/words.test.mjs holds them to the same keys and the same fill-ins.
 */
import { CODES } from "./codes.js";
import { PERSON_WORDS } from "./personwords.js";
import { QUANTITIES } from "./quantities.js";
import { READY_WORDS } from "./readywords.js";
import { REC_WORDS } from "./recwords.js";

export const WORDS = {
  ...QUANTITIES,
  ...CODES,
  ...PERSON_WORDS,
  ...READY_WORDS, ...REC_WORDS,

  // the frame
  "app": { zh: "前哨", en: "Outpost" },
  "app.title": { zh: "前哨 · 现场指挥", en: "Outpost · command post" },
  "exercise": { zh: "演练", en: "EXERCISE" },
  "exercise.line": {
    zh: "演练数据，非真实险情",
    en: "Simulated data, not a real incident",
  },
  "notice.uncertified": {
    zh: "本页不是经认证的气体检测报警仪，仅供辅助决策；请以佩戴的检测仪和现场指挥员为准。",
    en: "Not a certified gas detector; decision support only. Trust the worn detector and the officer on site.",
  },
  "operator": { zh: "值班员姓名", en: "Operator's name" },
  "operator.why": {
    zh: "随每条命令一起发送，单元的记录写明是谁下达的。保存在此浏览器中。",
    en: "Sent with each command, so that a unit's log says who gave it. Kept in this browser.",
  },
  "operator.nobody": { zh: "未署名", en: "No name" },
  "operator.keep": { zh: "保存", en: "Keep" },
  "language": { zh: "English", en: "中文" },
  "language.switch": { zh: "Switch to English", en: "切换到中文" },
  "theme.switch": { zh: "切换日间/夜间显示", en: "Switch between day and night" },
  "skip": { zh: "跳到报警", en: "Skip to alarms" },

  // the ways that data come by
  "page.live": { zh: "页面已连接", en: "Page live" },
  "page.connecting": { zh: "正在连接……", en: "Connecting…" },
  "page.lost": {
    zh: "页面未连接：以下全是 {age} 前的旧数据，正在重连",
    en: "Page is not connected: everything below is {age} old; reconnecting",
  },
  "page.never": { zh: "页面未连接：没有数据，正在重连", en: "Page is not connected: no data; reconnecting" },
  "broker.up": { zh: "消息服务器已连接", en: "Broker up" },
  "broker.lost": {
    zh: "消息服务器已断开：各单元的数据不再更新",
    en: "Broker connection lost: no unit's data is being updated",
  },
  "link": { zh: "链路", en: "Link" },
  "link.lost.unit": { zh: "链路中断：以下为旧数据", en: "Link lost: old data" },

  // alarms
  "alarms": { zh: "报警", en: "Alarms" },
  "alarms.none": { zh: "当前无报警", en: "No active alarm" },
  "alarms.unknown": { zh: "未连接：报警状态未知", en: "Not connected: alarm state unknown" },
  "alarms.count": { zh: "{n} 条报警，{open} 条未确认", en: "{n} alarms, {open} not acked" },
  "alarms.units": { zh: "{n} 台", en: "{n} units" },
  "alarms.unseen": { zh: "{n} 未确认", en: "{n} not acked" },
  "alarms.comma": { zh: "、", en: ", " },
  "alarm.ack.all": { zh: "确认 {n}", en: "ACK {n}" },
  "alarm.ack.all.text": { zh: "确认 {n} 条报警只表示已看到；报警条件还在。逐条查看请展开该组。", en: "Acknowledging {n} alarms says that they have been seen; what raised them is still there. Open the group to see each." },
  "alarm.ack": { zh: "确认", en: "ACK" },
  "alarm.ack.label": { zh: "确认报警：{what}", en: "Acknowledge alarm: {what}" },
  "alarm.sos.confirm": { zh: "已收到求救", en: "Confirm SOS" },
  "alarm.card": { zh: "处置卡", en: "Card" },
  "alarm.clean": { zh: "空气已洁净", en: "Air is clean" },
  "alarm.clean.no": { zh: "不确定", en: "Not sure" },
  "alarm.clean.text": {
    zh: "超量程后读数回落不代表恢复：缺氧时浓度过高也显示为零。仅当有人在 {name} 处确认空气洁净时才解除。",
    en: "After over range a falling reading is no recovery: gas too rich to burn reads zero as well. End it only where somebody at {name} has made sure that the air is clean.",
  },
  "alarm.sending": { zh: "发送中……", en: "Sending…" },
  "alarm.by": { zh: "{by} 已确认", en: "acked by {by}" },

  // sound
  "sound.enable": { zh: "开启报警声", en: "Enable sound" },
  "sound.on": { zh: "声音开", en: "Sound on" },
  "sound.muted": { zh: "已静音", en: "Muted" },
  "sound.mute": {
    zh: "静音当前报警（新报警仍会响）",
    en: "Mute the present alarms (a new one sounds again)",
  },
  "sound.unmute": { zh: "恢复报警声", en: "Sound again" },

  // the map
  "map": { zh: "地图", en: "Map" },
  "map.datum.none": { zh: "无底图 · 经纬网 · WGS-84", en: "No base map · graticule · WGS-84" },
  "map.datum": { zh: "底图坐标系 {datum}", en: "Base map datum {datum}" },
  "map.datum.shifted": {
    zh: "底图坐标系 {datum} · 标记已由 WGS-84 转换",
    en: "Base map datum {datum} · marks shifted from WGS-84",
  },
  "map.datum.refused": {
    zh: "未加载底图：其坐标系“{datum}”未知，标记可能偏离数百米。请用 --map-datum wgs84 或 gcj02 说明。",
    en: "Base map not loaded: its datum “{datum}” is unknown and marks could be hundreds of metres off. State it with --map-datum wgs84 or gcj02.",
  },
  "map.failed": { zh: "底图无法加载：{reason}", en: "The base map could not be loaded: {reason}" },
  "map.fit": { zh: "显示全部", en: "Show all" },
  "map.follow": { zh: "跟随", en: "Following" },
  "map.zoomin": { zh: "放大", en: "Zoom in" },
  "map.zoomout": { zh: "缩小", en: "Zoom out" },

  // units
  "units": { zh: "单元", en: "Units" },
  "units.none": { zh: "尚未收到任何单元的数据", en: "No unit has been heard yet" },
  "unit.stopped": { zh: "已停止", en: "stopped" },
  "unit.old": { zh: "旧数据", en: "OLD DATA" },
  "unit.noposition": { zh: "无定位", en: "no position" },
  "unit.received": { zh: "收 {n}", en: "received {n}" },
  "unit.missing": { zh: "缺 {n}", en: "missing {n}" },
  "unit.repeated": { zh: "重复 {n}", en: "repeated {n}" },
  "unit.pending": { zh: "待发 {n}", en: "pending {n}" },
  "unit.battery": { zh: "电池", en: "Battery" },
  "unit.signal": { zh: "信号", en: "Signal" },
  "battery.powered": { zh: "接电", en: "on power" },
  "battery.low": { zh: "电量低", en: "low" },
  "signal.none": { zh: "无网络", en: "no network" },
  "signal.0": { zh: "极弱", en: "very weak" },
  "signal.1": { zh: "弱", en: "weak" },
  "signal.2": { zh: "一般", en: "fair" },
  "signal.3": { zh: "好", en: "good" },
  "signal.4": { zh: "强", en: "strong" },
  "unit.select": { zh: "在地图上显示 {name}", en: "Show {name} on the map" },
  "unit.clock.free": { zh: "单元时钟未校准", en: "unit's clock is not set" },
  "unit.noreadings": { zh: "尚无读数", en: "No reading yet" },
  "orders": { zh: "消息与任务", en: "Messages and tasks" },
  "orders.new": { zh: "发消息、下任务", en: "Send a message or a task" },
  "orders.text": { zh: "内容", en: "Text" },
  "orders.urgent": { zh: "紧急", en: "urgent" },
  "orders.message": { zh: "发送消息", en: "Send message" },
  "orders.task": { zh: "下达任务", en: "Give task" },
  "orders.confirm": { zh: "已读", en: "Read" },
  "orders.incident": { zh: "事件 {incident}", en: "Incident {incident}" },
  "limit.none": { zh: "无限值", en: "no limit" },
  "mass.basis": { zh: "按 {temperature} °C、{pressure} hPa 换算", en: "at {temperature} °C and {pressure} hPa" },
  "mass.measured": { zh: "实测温压", en: "as measured" },
  "mass.standard": { zh: "标准温压", en: "standard" },
  "mass.part": { zh: "部分实测", en: "partly measured" },
  "dose.wearer": { zh: "接触剂量：{who}，自 {since}", en: "Exposure of {who} since {since}" },
  "dose.nobody": { zh: "佩戴者未指定", en: "whoever carries it" },
  "dose.line": {
    zh: "{gas} 15 分钟 ≥{stel}，8 小时 ≥{twa}，峰值 {peak}",
    en: "{gas} 15 min ≥{stel}, 8 h ≥{twa}, peak {peak}",
  },
  "dose.share": { zh: "接触剂量 {gas} ≥ 限值的 {percent}%", en: "dose {gas} ≥ {percent}% of limit" },
  "dose.coverage": { zh: "测得 {percent} %", en: "{percent} % measured" },
  "more.aside": { zh: "其他读数 {n}", en: "{n} more readings" },
  "more.sources": { zh: "仪器 {n}", en: "instruments {n}" },
  "more.outbox": { zh: "待发记录 {n}，库 {mb} MB", en: "{n} records to send, {mb} MB on disk" },
  "more.oldest": { zh: "最早 {s} 秒前", en: "oldest {s} s old" },
  "more.dropped": { zh: "⚠ 舍弃 {n}", en: "⚠ {n} dropped" },
  "more.due": { zh: "⚠ 待校准 {n}", en: "⚠ {n} due for calibration" },
  "more.unsure": { zh: "⚠ 未核实 {n}", en: "⚠ {n} unverified" },
  "source.place": { zh: "位于 {place}", en: "at {place}" },
  "source.serial": { zh: "编号 {serial}", en: "serial {serial}" },
  "source.calibrated": { zh: "校准 {day}（{by}）", en: "calibrated {day} ({by})" },
  "source.calibrated.day": { zh: "校准 {day}", en: "calibrated {day}" },
  "source.due": { zh: "⚠ 待校准（{day} 到期）", en: "⚠ CAL. DUE since {day}" },
  "source.due.later": { zh: "下次校准 {day}", en: "calibration due {day}" },
  "source.uncalibrated": { zh: "校准日期不明", en: "calibration date not known" },

  // readings
  "q.label": { zh: "{name} {formula}", en: "{formula} {name}" },
  "q.short": { zh: "{name} {formula}", en: "{formula}" },
  "age.s": { zh: "{n}秒", en: "{n} s" },
  "age.min": { zh: "{n}分{s}秒", en: "{n} min {s} s" },
  "age.h": { zh: "{n}小时{min}分", en: "{n} h {min} min" },
  "age.d": { zh: "{n}天", en: "{n} d" },

  // curves and log
  "dock": { zh: "曲线、日志、导调", en: "Curves, log, instructor" },
  "charts": { zh: "曲线", en: "Curves" },
  "charts.none": { zh: "尚无气体曲线", en: "No gas curve yet" },
  "charts.limit": { zh: "{code} {limit}", en: "{code} {limit}" },
  "charts.nolimit": { zh: "未设限值", en: "no limit" },
  "log": { zh: "日志", en: "Log" },
  "log.none": { zh: "尚无事件", en: "No event yet" },
  "log.somebody": { zh: "某人", en: "somebody" },
  "log.nobody": { zh: "未登记佩戴人", en: "nobody assigned" },
  "log.colon": { zh: "：", en: ": " },
  "log.late": { zh: "补传", en: "late" },

  // video
  "video": { zh: "视频", en: "Video" },
  "video.none": { zh: "无摄像机", en: "No camera" },
  "video.play": { zh: "播放", en: "Watch" },
  "video.stop": { zh: "停止", en: "Stop" },
  "video.enlarge": { zh: "放大", en: "Enlarge" },
  "video.shrink": { zh: "缩小", en: "Shrink" },
  "video.idle": { zh: "未播放", en: "Not playing" },
  "video.connecting": { zh: "正在连接视频……", en: "Connecting…" },
  "video.live": { zh: "实时", en: "LIVE" },
  "video.stalled": { zh: "画面停滞 {age}", en: "Frozen for {age}" },
  "video.stills.age": { zh: "静态图片 · {age} 前", en: "Still · {age} ago" },
  "video.stills.waiting": {
    zh: "无视频通路，等待静态图片……",
    en: "No video path; waiting for stills…",
  },
  "video.nopackets": { zh: "{n} 秒内没有画面", en: "no picture within {n} s" },
  "video.ended": { zh: "视频中断", en: "the video broke off" },

  // voice
  "voice.ended": { zh: "通话中断", en: "the voice broke off" },
  "voice.alone.idle": { zh: "无摄像机，可通话", en: "No camera; voice only" },
  "voice.alone.connecting": { zh: "正在接通……", en: "Connecting…" },
  "voice.alone.live": { zh: "● 通话中", en: "● VOICE" },
  "voice.listen": { zh: "监听（打开现场话筒）", en: "Listen (opens the microphone there)" },
  "voice.mute": { zh: "停止监听", en: "Stop listening" },
  "voice.talk": { zh: "按住讲话（空格键亦可）", en: "Hold to talk (or hold the space bar)" },
  "voice.release": { zh: "讲话结束", en: "Talk over" },
  "voice.open": { zh: "保持通话，无须按住", en: "Keep the line open, without holding" },
  "voice.talks": { zh: "{by} 正在讲话", en: "{by} is talking" },
  "voice.nomic": { zh: "话筒不可用（{reason}）", en: "No microphone ({reason})" },
  "voice.insecure": {
    zh: "讲话须用 HTTPS 打开本页（outpost console --tls-cert），或在本机打开",
    en: "To talk, open this page by HTTPS (outpost console --tls-cert), or on this machine",
  },

  // the drill
  "drill": { zh: "导调", en: "Instructor" },
  "drill.state.running": { zh: "进行中", en: "running" },
  "drill.state.paused": { zh: "已暂停", en: "paused" },
  "drill.state.ended": { zh: "已结束", en: "ended" },
  "drill.pause": { zh: "暂停", en: "Pause" },
  "drill.resume": { zh: "继续", en: "Resume" },
  "drill.end": { zh: "结束演练", en: "End drill" },
  "drill.end.title": { zh: "结束演练？", en: "End the drill?" },
  "drill.end.text": {
    zh: "情景停止，各单元排空待发数据后关闭。",
    en: "The scenario stops; the units send what they hold and close.",
  },
  "drill.inject": { zh: "注入", en: "Inject" },
  "drill.inject.label": { zh: "注入：{what}", en: "Inject: {what}" },
  "drill.inject.done": { zh: "已注入", en: "done" },
  "drill.wind": { zh: "风：{speed} m/s，来自 {deg}°", en: "Wind {speed} m/s from {deg}°" },
  "drill.source": { zh: "源 {id}：{gas} {rate} kg/s，{state}", en: "Source {id}: {gas} {rate} kg/s, {state}" },
  "drill.source.active": { zh: "泄漏中", en: "leaking" },
  "drill.source.idle": { zh: "未泄漏", en: "not leaking" },
  "drill.waiting": { zh: "尚未收到导演台状态", en: "Nothing heard from the drill's director yet" },
  "drill.speed": { zh: "×{n}", en: "×{n}" },
  "drill.footprint": { zh: "{level} ≥ {ppm} ppm（估算）", en: "{level} ≥ {ppm} ppm (estimate)" },
  "drill.real": { zh: "真实险情 · 非演练", en: "REAL EMERGENCY" },
  "drill.real.title": { zh: "真实险情？停止演练？", en: "A real emergency? Stop the drill?" },
  "drill.real.text": {
    zh: "演练情景立即停止，并通知所有参演人员：这不是演练。",
    en: "The scenario stops at once and everyone in it is told: this is no drill.",
  },
  "drill.real.yes": { zh: "是，真实险情", en: "Yes, real emergency" },
  "drill.real.stopped": {
    zh: "非演练！真实险情，演练已停止。请使用实战系统。",
    en: "NO DRILL! Real emergency declared; the exercise is stopped. Use the operational system.",
  },
  "drill.real.sending": { zh: "正在停止演练……", en: "Stopping the exercise…" },
  "cancel": { zh: "取消", en: "Cancel" },

  // what a unit hears of units nearby
  "near.line": { zh: "◈ 附近 {unit}{count}：{what}", en: "◈ nearby {unit}{count}: {what}" },
  "near.value": { zh: "（报警时 {value}）", en: "({value} when raised)" },
  "near.count": { zh: " 等{n}个单元", en: " and others, {n} units" },
  "near.where": { zh: "方位 {degrees}°，{metres} 米", en: "bearing {degrees}°, {metres} m" },
  "near.nowhere": { zh: "位置不明", en: "place not known" },
  "near.old": { zh: "{seconds} 秒前的位置", en: "place {seconds} s old" },
  "near.lost": { zh: "已失去联系", en: "out of reach" },
  "near.off": { zh: "◈ 听不到附近单元：{why}", en: "◈ units nearby are not heard: {why}" },

  // what a command came to
  "command.sent": { zh: "已发送：{what}", en: "Sent: {what}" },
  "command.done": { zh: "{unit} 已执行：{what}", en: "{unit} did it: {what}" },
  "command.refused": { zh: "{unit} 拒绝了 {what}：{reason}", en: "{unit} refused {what}: {reason}" },
  "command.failed": { zh: "无法发送 {what}：{reason}", en: "{what} could not be sent: {reason}" },
  "command.unanswered": {
    zh: "{unit} 在 {n} 秒内未回应：{what}",
    en: "{unit} has not answered within {n} s: {what}",
  },
};

/** @typedef {keyof typeof WORDS} Word */
