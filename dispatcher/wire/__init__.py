"""What coordinator and agents say to each other, and how it becomes bytes. No I/O here; both sides use it."""
