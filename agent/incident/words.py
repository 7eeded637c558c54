"""Words for what leaves the incident log, Chinese and English.  A code without a word stays."""

from __future__ import annotations

from agent.messages import Mark

LANGUAGES = ("zh", "en")
TAGS = {"zh": "zh-CN", "en": "en-US"}

WORDS = {
    # alarms
    "high": ("高报警", "high alarm"),
    "low": ("低报警", "low alarm"),
    "deficient": ("不足", "deficient"),
    "critical": ("严重不足", "critically low"),
    "over_range": ("超量程", "over range"),
    "under_range": ("低于量程", "under range"),
    "fault": ("故障", "fault"),
    "silent": ("无数据", "silent"),
    "frozen": ("读数不变", "frozen"),
    "bus": ("总线无应答", "bus dead"),
    "lel_invalid": ("缺氧，读数无效", "not valid, too little oxygen"),
    "stel": ("15 分钟均值（STEL）超限", "15 min mean (STEL) exceeded"),
    "twa": ("8 小时均值（TWA）超限", "8 h mean (TWA) exceeded"),
    "coverage": ("接触剂量测得不全", "exposure poorly covered"),
    "sos": ("求救", "call for help"),
    "sos_silent": ("静默求救", "silent call for help"),
    "no_motion": ("静止不动", "no motion"),
    "check_in": ("未报平安", "missed check-in"),
    "zone_hot": ("进入热区", "in a hot zone"),
    "zone_warm": ("进入温区", "in a warm zone"),
    "zone_outside": ("离开指定区域", "outside the zone"),
    "position_lost": ("定位丢失", "position lost"),
    "battery": ("电量低", "battery low"),
    "battery_critical": ("电量将尽", "battery almost empty"),
    "not_recording": ("未在录制", "not recording"),
    "disk": ("磁盘写不进", "disk not writable"),
    "clock_stopped": ("时钟停走", "clock stopped"),
    "clock_unset": ("时钟未校准", "clock not set"),
    # their transitions
    "raised": ("报警", "raised"),
    "worsened": ("加重", "worsened"),
    "returned": ("恢复", "returned"),
    "acknowledged": ("已确认", "acknowledged"),
    "cleared": ("解除", "cleared"),
    # what is measured
    "cl2": ("氯气", "chlorine"),
    "co": ("一氧化碳", "carbon monoxide"),
    "h2s": ("硫化氢", "hydrogen sulfide"),
    "o2": ("氧气", "oxygen"),
    "nh3": ("氨气", "ammonia"),
    "so2": ("二氧化硫", "sulfur dioxide"),
    "no2": ("二氧化氮", "nitrogen dioxide"),
    "ch4": ("甲烷", "methane"),
    "co2": ("二氧化碳", "carbon dioxide"),
    "hcl": ("氯化氢", "hydrogen chloride"),
    "hcn": ("氰化氢", "hydrogen cyanide"),
    "ph3": ("磷化氢", "phosphine"),
    "c3h8": ("丙烷", "propane"),
    "voc": ("挥发性有机物", "volatile organics"),
    "combustible": ("可燃气", "combustible gas"),
    # columns of the table
    "n": ("序号", "n"),
    "time": ("时间", "time"),
    "clock": ("时钟", "clock"),
    "unit": ("单元", "unit"),
    "mark": ("标记", "mark"),
    "kind": ("类别", "kind"),
    "what": ("内容", "what"),
    "change": ("变化", "change"),
    "state": ("状态", "state"),
    "rank": ("级别", "rank"),
    "source": ("来源", "source"),
    "quantity": ("量", "quantity"),
    "value": ("数值", "value"),
    "value_unit": ("单位", "value_unit"),
    "limit": ("限值", "limit"),
    "limit_basis": ("依据", "limit_basis"),
    "lat": ("纬度", "lat"),
    "lon": ("经度", "lon"),
    "by": ("何人", "by"),
    "detail": ("说明", "detail"),
    "data": ("数据", "data"),
    "epoch": ("运行", "epoch"),
    "seq": ("记录号", "seq"),
    # marks and kinds
    "actual": ("实战", "actual"),
    "exercise": ("演练", "exercise"),
    "test": ("测试", "test"),
    "alarm": ("报警", "alarm"),
    "event": ("事件", "event"),
    # ISA-18.2's states
    "normal": ("正常", "normal"),
    "unacknowledged": ("未确认", "unacknowledged"),
    "returned_unacknowledged": ("已恢复，未确认", "returned, unacknowledged"),
}

BEFORE = {
    Mark.ACTUAL: ("", ""),
    Mark.EXERCISE: ("【演练】", "[EXERCISE] "),
    Mark.TEST: ("【测试】", "[TEST] "),
}
"""What a headline that is not actual begins with."""

SENTENCES = {
    "measured": ("测得 {value}", "measured {value}"),
    "limit": ("限值 {limit}", "limit {limit}"),
    "basis": ("依据：{basis}", "basis: {basis}"),
    "by": ("确认人：{by}", "by {by}"),
    "place": ("单元 {unit} 的位置", "position of unit {unit}"),
    "no_value": ("无有效读数", "no valid reading"),
}


def word(code: str, language: str) -> str:
    """The word for a code, or the code."""
    pair = WORDS.get(code)
    return pair[LANGUAGES.index(language)] if pair is not None else code


def sentence(key: str, language: str, **values: str) -> str:
    """A part of a text, filled in."""
    return SENTENCES[key][LANGUAGES.index(language)].format(**values)
