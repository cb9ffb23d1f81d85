"""What the control plane and njs both know, once: the places in what one writes and the other
reads, the letters of flags, and numbers that both go by.

`njs.py` makes njs/contract.js of it, which is checked in. A constant of it costs a request nothing,
because its value is put where it is used (nginx/bundle.py)."""
