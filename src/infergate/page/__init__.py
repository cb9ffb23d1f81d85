"""The page for people, on the admin listener: files for a browser, and the session that stands for
the visitor's token.

It has no way of its own into the gateway. What the browser asks for below /page/v1 is asked of the
admin API below /v1 in the visitor's name, and refused there like anybody's (docs/page.md).
"""
