"""Any port by its name: the path of a serial device, or the address of one in the network."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from drivers import Port, netport, noport, port


def is_network(device: str) -> bool:
    """Whether `device` names a port of the network and not of this machine."""
    return "://" in device


def mistake(device: str) -> str:
    """What is wrong with the name itself; empty: nothing."""
    if is_network(device):
        try:
            netport.parse(device)
        except ValueError as error:
            return str(error)
    return ""


def open_port(
    device: str,
    *,
    baudrate: int = 9600,
    bytesize: int = 8,
    parity: str = "N",
    stopbits: float = 1,
) -> AbstractAsyncContextManager[Port]:
    """`device`, opened: at once (a serial device) or as the context is entered (the network).

    The empty name is the port of a driver without a wire: nothing ever comes.  Raises PortError (an
    OSError) with a sentence, here or at entry.
    """
    if not device:
        return noport.NoPort()
    opener = netport.connected if is_network(device) else port.open_port
    return opener(device, baudrate=baudrate, bytesize=bytesize, parity=parity, stopbits=stopbits)
