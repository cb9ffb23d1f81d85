"""Which traces are kept where nothing else decides: a share of them, by their id, as
OpenTelemetry's consistent probability sampling has it. nginx tells backends by a regular
expression, and the control plane decides by the same threshold: both keep a trace, or neither."""

from __future__ import annotations

_DIGITS = 4
"""Of the trace id's last 56 bits, the first 16 count: a share is exact to 0.002 %."""
_FROM = 18
_ALL: int = 16**_DIGITS
_HEX = "0123456789abcdef"
_CLASSES = [f"[{_HEX[at:]}]" for at in range(16)]


def is_sampled(trace_id: str, share: float) -> bool:
    """trace_id: 32 hexadecimal digits."""
    return int(trace_id[_FROM : _FROM + _DIGITS], 16) >= _threshold(share)


def sampled_pattern(share: float) -> str:
    """The same as a regular expression of trace ids."""
    threshold = _threshold(share)
    if threshold == _ALL:
        return "^$"  # none
    digits = f"{threshold:0{_DIGITS}x}"
    # The same; or the same in the first digits, and larger in the next one.
    larger = (
        digits[:at] + _CLASSES[int(digit, 16) + 1]
        for at, digit in enumerate(digits)
        if digit != "f"
    )
    return f"^.{{{_FROM}}}(?:{'|'.join([digits, *larger])})"


def _threshold(share: float) -> int:
    return round((1 - share) * _ALL)
