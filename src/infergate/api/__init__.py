"""The API tier: what is done to requests between nginx and the engines, in processes of its own."""
