"""The doctor's sentences, Chinese and English.  `{...}` is filled from a finding's data.

Sentences of the operating system, of a broker and of the configuration stay in English.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from agent.doctor.finding import Finding, Level

LANGUAGES = ("zh", "en")

PARTS = {
    "ports": ("串口", "serial ports"),
    "cameras": ("摄像头", "cameras"),
    "sound": ("声卡", "sound"),
    "gpio": ("GPIO", "GPIO"),
    "network": ("网络", "network"),
    "clock": ("时钟", "clock"),
    "disk": ("磁盘", "disk"),
    "unit": ("配置", "configuration"),
    "listening": ("监听", "listening"),
}

MARKS = {Level.GOOD: "+", Level.NOTE: " ", Level.WARN: "!", Level.BAD: "x"}

SENTENCES = {
    "port_free": ("{name} 空闲 {usb}", "{name} is free {usb}"),
    "port_held": ("{name} 被 {holders} 占用 {usb}", "{name} is held by {holders} {usb}"),
    "port_denied": (
        "{name} 无权打开；请把用户加入 {group} 组 {usb}",
        "{name} may not be opened; add this user to the group {group} {usb}",
    ),
    "no_ports": ("没有串口", "there is no serial port"),
    "adapter_taken": (
        "USB 插口 {socket} 上的 {usb} 没有串口：被 brltty 占用；请卸载 brltty",
        "{usb} in USB socket {socket} has no port: brltty takes it; remove brltty",
    ),
    "adapter_without_port": (
        "USB 插口 {socket} 上的 {usb} 没有串口：内核缺少驱动？",
        "{usb} in USB socket {socket} has no port: does the kernel lack its driver?",
    ),
    "busybody": (
        "{name} 正在运行，会自行打开串口；请用 udev 规则让它避开传感器",
        "{name} is running, and opens serial ports by itself; keep it off by a udev rule",
    ),
    "processes_hidden": (
        "看不到其他用户的 {count} 个进程；以 root 运行可见全部占用者",
        "{count} processes of other users cannot be seen into; root sees every holder",
    ),
    "camera": ("{device} {title}（节点 {node}）", "{device} {title} (node {node})"),
    "camera_denied": (
        "{device} {title}：无权打开；请把用户加入 video 组",
        "{device} {title}: may not be opened; add this user to the group video",
    ),
    "no_cameras": ("没有摄像头", "there is no camera"),
    "sound_card": ("声卡 {number} [{id}] {title}", "card {number} [{id}] {title}"),
    "sound_both": (
        "声卡 {number} [{id}] {title}：可录音，可播放",
        "card {number} [{id}] {title}: records and plays",
    ),
    "sound_records": (
        "声卡 {number} [{id}] {title}：只能录音",
        "card {number} [{id}] {title}: records only",
    ),
    "sound_plays": (
        "声卡 {number} [{id}] {title}：只能播放",
        "card {number} [{id}] {title}: plays only",
    ),
    "sound_denied": (
        "声卡 {number} [{id}] {title}：无权打开；请把用户加入 audio 组",
        "card {number} [{id}] {title}: may not be opened; add this user to the group audio",
    ),
    "no_sound": ("没有声卡", "there is no sound card"),
    "gpio_chip": ("{device} {label}，{lines} 线", "{device} {label}, {lines} lines"),
    "gpio_denied": (
        "{device}：无权打开；请把用户加入 gpio 组",
        "{device}: may not be opened; add this user to the group gpio",
    ),
    "no_gpio": ("没有 GPIO 芯片", "there is no GPIO chip"),
    "interface_up": ("{name} {kind} 已连接 {address}", "{name} {kind} is up {address}"),
    "interface_down": ("{name} {kind} 未连接", "{name} {kind} is down"),
    "route": ("默认路由经 {name}，网关 {gateway}", "default route by {name}, gateway {gateway}"),
    "no_route": ("没有默认路由", "there is no default route"),
    "clock_ntp": ("{now} UTC，由 NTP 校准", "{now} UTC, kept by NTP"),
    "clock_rtc": (
        "{now} UTC，未与 NTP 同步；卫星定位后由其校准",
        "{now} UTC, not kept by NTP; a GNSS fix will correct it",
    ),
    "clock_free": (
        "{now} UTC，从未校准：在卫星或网络授时之前不可信",
        "{now} UTC, never set: not to be trusted before GNSS or NTP",
    ),
    "disk": (
        "{folder} 剩余 {free_mb} / {total_mb} MB",
        "{folder}: {free_mb} of {total_mb} MB free",
    ),
    "disk_low": (
        "{folder} 只剩 {free_mb} / {total_mb} MB",
        "{folder}: only {free_mb} of {total_mb} MB free",
    ),
    "mistake": ("{detail}", "{detail}"),
    "agent_runs": ("单元 {unit} 正在运行", "unit {unit} is running"),
    "agent_rests": ("单元 {unit} 没有运行", "unit {unit} is not running"),
    "evidence": (
        "{source}：驱动 {driver}，依据：{evidence}",
        "{source}: driver {driver}, {evidence}",
    ),
    "source_up": ("{source}：正常；{counters}", "{source}: up; {counters}"),
    "source_down": (
        "{source}：{state} {detail}；{counters}",
        "{source}: {state} {detail}; {counters}",
    ),
    "source_port_absent": (
        "{source}：没有 {device}；插好了吗？",
        "{source}: there is no {device}; is it plugged in?",
    ),
    "source_port_denied": (
        "{source}：无权打开 {device}；请把用户加入 {group} 组",
        "{source}: {device} may not be opened; add this user to the group {group}",
    ),
    "source_port_held": (
        "{source}：{device} 被 {holders} 占用",
        "{source}: {device} is held by {holders}",
    ),
    "source_port_free": ("{source}：{device} 可以打开", "{source}: {device} can be opened"),
    "source_unreachable": ("{source}：{detail}", "{source}: {detail}"),
    "source_reachable": ("{source}：{device} 可以连接", "{source}: {device} can be connected"),
    "camera_there": ("摄像头 {name}：{path} 可读", "camera {name}: {path} can be read"),
    "camera_absent": ("摄像头 {name}：{path} 读不到", "camera {name}: {path} cannot be read"),
    "microphone_works": ("话筒 {name}：可以录音", "microphone {name}: it records"),
    "microphone_live": ("话筒 {name}：正在使用", "microphone {name}: in use now"),
    "microphone_fails": (
        "话筒 {name} 打不开（不存在、被占用或无权）：{detail}；本机可录音的有：{found}。"
        "请改 [media.voice] microphone，或把用户加入 audio 组",
        "microphone {name} cannot be opened (absent, in use, or not allowed): {detail}; what "
        "records here: {found}. Change microphone of [media.voice], or add this user to the "
        "group audio",
    ),
    "microphone_absent": (
        "话筒 {name}：{detail}；请更正 [media.voice] microphone",
        "microphone {name}: {detail}; correct microphone of [media.voice]",
    ),
    "microphone_trial": (
        "话筒 {name}：供演练或试音，不是真话筒",
        "microphone {name}: for drills and trials, nobody is heard in it",
    ),
    "microphone_unset": (
        "可以录音（{found}），但 [media.voice] 没有 microphone：中心听不到本单元",
        "there is something that records ({found}), but no microphone in [media.voice]: no center "
        "hears this unit",
    ),
    "speaker_works": ("扬声器 {name}：可以播放", "speaker {name}: it plays"),
    "speaker_live": ("扬声器 {name}：正在使用", "speaker {name}: in use now"),
    "speaker_fails": (
        "扬声器 {name} 打不开（不存在、被占用或无权）：{detail}；本机可播放的有：{found}。"
        "请改 [media.voice] speaker，或把用户加入 audio 组",
        "speaker {name} cannot be opened (absent, in use, or not allowed): {detail}; what plays "
        "here: {found}. Change speaker of [media.voice], or add this user to the group audio",
    ),
    "speaker_absent": (
        "扬声器 {name}：{detail}；请更正 [media.voice] speaker",
        "speaker {name}: {detail}; correct speaker of [media.voice]",
    ),
    "speaker_trial": (
        "扬声器 {name}：供演练，写入文件，没有人听到",
        "speaker {name}: for drills, a file that nobody hears",
    ),
    "speaker_unset": (
        "可以播放（{found}），但 [media.voice] 没有 speaker：中心的话在此听不到",
        "there is something that plays ({found}), but no speaker in [media.voice]: nobody hears a "
        "center here",
    ),
    "camera_passes": (
        "摄像头 {name}：{codec}，{size}，原样转发",
        "camera {name}: {codec}, {size}, goes out as it is",
    ),
    "camera_substream": (
        "摄像头 {name}：主码流为 {codec}，{size}，改用所配置的子码流",
        "camera {name}: its main stream is {codec}, {size}; the substream configured is used",
    ),
    "camera_encoded_again": (
        "摄像头 {name}：{codec}，{size}，浏览器不能播放（{detail}），"
        "须重新编码，占用一个核的 {cost}；若有 H.264 子码流，请配置 substream",
        "camera {name}: {codec}, {size}, which browsers cannot play ({detail}): decoded and "
        "encoded again, which takes {cost} of a core; configure a substream of H.264 if it has one",
    ),
    "camera_unreachable": ("摄像头 {name}：{detail}", "camera {name}: {detail}"),
    "stun_answers": (
        "{url}：应答，本机对外地址 {address}",
        "{url} answers; this machine is seen there as {address}",
    ),
    "turn_relays": (
        "{url}：接受本机凭据，可经 {address} 中继",
        "{url} takes this unit's credentials, and would relay from {address}",
    ),
    "ice_unreachable": ("{url}：不可用：{detail}", "{url} cannot be used: {detail}"),
    "whip_answers": (
        "媒体服务器 {name}：{url} 应答，接受推流请求",
        "media server {name}: {url} answers, and takes offers",
    ),
    "whip_odd": (
        "媒体服务器 {name}：{url} 应答，但未说明接受 SDP；是 WHIP 地址吗？",
        "media server {name}: {url} answers, but does not say that it takes SDP; is it a WHIP "
        "address?",
    ),
    "whip_unreachable": ("媒体服务器 {name}：{detail}", "media server {name}: {detail}"),
    "certificate": (
        "{uplink}：证书 {path} 有效至 {until}",
        "{uplink}: {path} is valid until {until}",
    ),
    "certificate_soon": (
        "{uplink}：证书 {path} 即将于 {until} 到期",
        "{uplink}: {path} ends soon, on {until}",
    ),
    "certificate_over": (
        "{uplink}：证书 {path} 已于 {until} 到期",
        "{uplink}: {path} ended on {until}",
    ),
    "certificate_absent": (
        "{uplink}：读不到 {path}：{detail}",
        "{uplink}: {path} cannot be read: {detail}",
    ),
    "certificate_malformed": (
        "{uplink}：{path} 不是 PEM 证书",
        "{uplink}: {path} holds no PEM certificate",
    ),
    "neighbours_key": (
        "邻近单元：密钥 {path}，指纹 {fingerprint}，同组单元须相同",
        "neighbours: key {path}, fingerprint {fingerprint}, the same at all of the group",
    ),
    "neighbours_key_absent": (
        "邻近单元：读不到密钥 {path}：{detail}；将听不到邻近单元",
        "neighbours: {path} cannot be read: {detail}; none will be heard",
    ),
    "neighbours_key_malformed": (
        "邻近单元：密钥 {path}：{detail}",
        "neighbours: {path}: {detail}",
    ),
    "neighbours_key_open": ("邻近单元：{detail}", "neighbours: {detail}"),
    "neighbours_interface": ("邻近单元：经 {name}", "neighbours: by {name}"),
    "neighbours_interface_down": (
        "邻近单元：接口 {name} 没有或未启用",
        "neighbours: the interface {name} is absent or down",
    ),
    "neighbours_loopback": (
        "邻近单元：只有 {name}，听不到别的机器",
        "neighbours: by {name} alone, where no other machine is heard",
    ),
    "neighbours_no_multicast": (
        "邻近单元：{name} 不传组播；请写 peers",
        "neighbours: {name} carries no multicast; give peers",
    ),
    "neighbours_heard": ("邻近单元：听到 {units}", "neighbours: heard {units}"),
    "neighbours_refused": (
        "邻近单元：听到 {units}；拒收的数据报：{refused}；各单元密钥、时钟一致吗？",
        "neighbours: heard {units}; datagrams refused: {refused}; are keys and clocks the same?",
    ),
    "neighbours_off": ("邻近单元：{detail}", "neighbours: {detail}"),
    "broker_reachable": (
        "{uplink}：{broker} 可用，{protocol}",
        "{uplink}: {broker} answers, {protocol}",
    ),
    "broker_unreachable": ("{uplink}：{detail}", "{uplink}: {detail}"),
    "listening_held": (
        "{device} 被 {holders} 占用，跳过",
        "{device} is held by {holders}, and is skipped",
    ),
    "listening_failed": ("{detail}", "{detail}"),
    "listening_silent": (
        "{device}：各波特率下都没有数据；仪器通电了吗，收发线接反了吗？只答不说的仪器用 --ask",
        "{device}: nothing came at any rate; has the instrument power, are the wires crossed? "
        "One that only answers needs --ask",
    ),
    "listening_mute": (
        "{device}：没有数据，询问也无应答；仪器通电了吗，收发线（A/B）接反了吗？",
        "{device}: nothing came, and nobody answered; has the instrument power, are the wires "
        "(A and B) crossed?",
    ),
    "listening_noise": (
        "{device}：{baudrate} 波特时收到 {count} 字节，没有驱动认识；录下来："
        "outpost capture {device} --baudrate {baudrate}",
        "{device}: {count} bytes at {baudrate} bit/s that no driver knows; record them: outpost "
        "capture {device} --baudrate {baudrate}",
    ),
    "listening_found": (
        "{device}：{baudrate} 波特，驱动 {driver}（{evidence}），{frames} 帧 {quantities}",
        "{device}: {baudrate} bit/s, driver {driver} ({evidence}), {frames} frames {quantities}",
    ),
    "listening_unsure": (
        "{device}：{baudrate} 波特，像是驱动 {driver}（{evidence}），{frames} 帧，"
        "但数据里没有 {keys}；别家模块也发同样的帧，以标签为准",
        "{device}: {baudrate} bit/s, as of driver {driver} ({evidence}), {frames} frames, which do "
        "not say {keys}; other makers' modules send the same: the label decides",
    ),
    "listening_also": (
        "{device}：驱动 {driver}（{evidence}）也能读 {quantities}",
        "{device}: driver {driver} ({evidence}) can read it too {quantities}",
    ),
}

PROGRESS = ("正在监听 {device} ……", "listening on {device} ...")
LINES = (
    "写入配置（带 ? 的行请按仪器标签确认）：",
    "for the configuration (lines with ? : see the label):",
)


def language(environment: Mapping[str, str] = os.environ) -> str:
    """`zh` where the locale is Chinese, else `en`."""
    for key in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(key, ""):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def say(finding: Finding, lang: str) -> str:
    """One line, with its mark in front."""
    sentence = SENTENCES[finding.code][LANGUAGES.index(lang)].format(**finding.data)
    return f"{MARKS[finding.level]} {' '.join(sentence.split())}"


def choose(pair: tuple[str, str], lang: str) -> str:
    """The Chinese or the English one."""
    return pair[LANGUAGES.index(lang)]
