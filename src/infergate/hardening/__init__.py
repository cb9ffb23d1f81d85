"""What an attacker would look at first: each check says what, how bad and how to mend it."""
