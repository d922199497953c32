"""Live scoring: replays of recordings over the Lab Streaming Layer."""
