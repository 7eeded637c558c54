"""Runs a program for what it prints: no shell, no input, a time and a size that end it."""

from __future__ import annotations

import asyncio
import os

OUTPUT_MAX = 64 * 1024


async def output(program: str, *arguments: str, timeout_s: float) -> bytes:
    """What it writes to standard output, at most OUTPUT_MAX bytes.

    OSError: it cannot be run, fails (with the last line that it complained), or takes too long.
    """
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # Another language writes numbers with a comma.
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(timeout_s):
            told, complaint = await asyncio.gather(_all(process.stdout), _all(process.stderr))
            code = await process.wait()
    except TimeoutError:
        raise TimeoutError(f"{program} has not ended within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1][:200] if lines else "without a word"
        raise OSError(f"{program} failed with {code}: {reason}")
    return told


async def _all(stream: asyncio.StreamReader) -> bytes:
    """To its end, of which the beginning is kept: a program must not wait for its reader."""
    kept = bytearray()
    while data := await stream.read(OUTPUT_MAX):
        kept += data[: OUTPUT_MAX - len(kept)]
    return bytes(kept)
