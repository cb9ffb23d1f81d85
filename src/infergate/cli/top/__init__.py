"""`infergate top`: what a gateway does now, on a terminal. seen.py asks, frame.py draws, screen.py
keeps it on the screen and listens to keys."""
