"""Words of the check before use, zh and en, for the terminal; the page has the same for its own
(tests/selftest/test_words.py holds both to the same codes)."""

from __future__ import annotations

from agent.messages.selftest import BumpTest, SelftestItem

STATES: dict[str, tuple[str, str]] = {
    "never": ("从未自检", "never checked"),
    "running": ("自检中", "being checked"),
    "expired": ("自检已过期", "check has expired"),
    "ready": ("可用", "ready"),
    "ready_with_warnings": ("可用，有警告", "ready with warnings"),
    "not_ready": ("不可用", "NOT READY"),
}
ITEMS: dict[str, tuple[str, str]] = {
    "sensor": ("仪器", "sensor"),
    "zero": ("零点", "zero"),
    "bump": ("通气测试", "bump test"),
    "calibration": ("标定", "calibration"),
    "battery": ("电池", "battery"),
    "disk": ("磁盘", "disk"),
    "log": ("事件日志", "incident log"),
    "camera": ("摄像机", "camera"),
    "microphone": ("麦克风", "microphone"),
    "position": ("定位", "position"),
    "link": ("链路", "link"),
    "clock": ("时钟", "clock"),
    "signature": ("签名", "signature"),
}
CODES: dict[str, tuple[str, str]] = {
    "up": ("正常", "up"),
    "starting": ("启动中", "starting"),
    "down": ("离线", "down"),
    "silent": ("无数据", "silent"),
    "unheard": ("尚无读数", "no reading yet"),
    "warmup": ("预热中", "warming up"),
    "fault": ("故障", "fault"),
    "stale": ("数值已旧", "stale value"),
    "invalid": ("数值无效", "value not valid"),
    "under_range": ("低于量程", "under range"),
    "no_sensor": ("没有气体仪器", "no gas sensor"),
    "zero_good": ("在允差内", "within tolerance"),
    "zero_off": ("超出允差", "outside its tolerance"),
    "zero_no_value": ("无可用读数", "no usable reading"),
    "zero_no_tolerance": ("没有允差可比", "no tolerance to hold it against"),
    "zero_not_stated": ("无人确认空气洁净，未检查", "not checked: nobody has stated clean air"),
    "bump_good": ("通过", "passed"),
    "bump_failed": ("未通过", "FAILED"),
    "bump_missing": ("没有记录", "none on record"),
    "bump_overdue": ("已过期", "overdue"),
    "bump_undated": ("时钟未校准，无法判断日期", "clock not set, age unknown"),
    "calibration_good": ("有效", "valid"),
    "calibration_unknown": ("日期不明", "date unknown"),
    "calibration_overdue": ("已过期", "overdue"),
    "calibration_undated": ("时钟未校准，无法判断日期", "clock not set, age unknown"),
    "battery_good": ("充足", "charged"),
    "battery_low": ("偏低", "low"),
    "battery_critical": ("将耗尽", "nearly empty"),
    "battery_unknown": ("电量不明", "charge unknown"),
    "disk_good": ("可写", "writes"),
    "disk_full": ("将满", "nearly full"),
    "disk_refuses": ("写不进", "refuses to write"),
    "disk_unknown": ("无应答", "does not answer"),
    "log_good": ("正常", "writes"),
    "log_refuses": ("写不进", "refuses to write"),
    "camera_good": ("有画面", "gives a picture"),
    "camera_no_picture": ("没有画面", "no picture"),
    "microphone_good": ("正常", "works"),
    "microphone_down": ("故障", "down"),
    "position_good": ("正常", "has a fix"),
    "position_lost": ("没有定位", "no position"),
    "link_good": ("通", "up"),
    "link_down": ("与任何中心都不通", "no center is reached"),
    "link_spare_down": ("此路不通，另有通路", "down, another is up"),
    "link_none": ("未配置", "none is configured"),
    "clock_good": ("已校准", "set"),
    "clock_free": ("未校准", "not set"),
    "key_unusable": ("密钥不可用，未签名", "key cannot be used, not signed"),
    "not_fitted": ("未配备", "not fitted"),
}
SIGNED: dict[str, tuple[str, str]] = {
    "ed25519": ("由本机密钥签署", "signed by the unit's key"),
    "chain": ("由日志哈希链保护", "held by the log's hash chain"),
}
MARKS = {"ok": "✓", "warn": "!", "fail": "✕", "none": "-"}


def both(pair: tuple[str, str]) -> str:
    return f"{pair[0]} {pair[1]}"


def line(item: SelftestItem) -> str:
    """One line of the terminal."""
    where = "/".join(part for part in (item.source, item.quantity) if part)
    value = "" if item.value is None else f"{item.value:g} {item.unit}"
    limit = f" (≤ {item.limit:g})" if item.item == "zero" and item.limit is not None else ""
    if item.item == "bump" and item.limit is not None:
        value = f"{value or '-'} / {item.limit:g} {item.unit}"
    parts = (
        MARKS[item.state], both(ITEMS[item.item]), where, both(CODES[item.code]), value + limit,
        item.detail,
    )  # fmt: skip
    return "  ".join(part for part in parts if part)


def tested(test: BumpTest) -> str:
    value = "-" if test.value is None else f"{test.value:g}"
    took = "" if test.seconds is None else f"{test.seconds:g} s"
    word = CODES["bump_good" if test.passed else "bump_failed"]
    return "  ".join(
        part
        for part in (
            MARKS["ok" if test.passed else "fail"], both(ITEMS["bump"]),
            f"{test.source}/{test.quantity}", both(word),
            f"{value} / {test.concentration:g} {test.unit}", took,
        )
        if part
    )  # fmt: skip
