"""Whether an installed gateway does what it is there for: checks with a verdict each.

health.py      its processes, backends, services, certificates, counting
acceptance.py  models as a client asks them, and each backend behind them
services.py    what stands beside the models: a vector store, a webhook, a WebSocket
load.py        how much it takes; plot.py draws it
security.py    what a stranger finds, and the audit
suites.py      the four by name
client.py      the gateway as one of its clients sees it
result.py      a verdict, and all of them as JUnit XML
"""
