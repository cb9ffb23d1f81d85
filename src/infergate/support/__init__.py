"""`infergate support-bundle`: what somebody who helps needs to see of a gateway, and no secret.

Three nets, one behind the other. What is known to hold secrets is left out or rebuilt from what the
configuration's types say is none (bundle.py, config_file.py, log_lines.py). What looks like one is
replaced (redact.py). And no member is written that has a secret which is known to this gateway
(known.py): then there is no bundle at all.
"""
