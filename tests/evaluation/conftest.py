from tests.training.conftest import _one_thread, reviews, sessions, straight

__all__ = ["_one_thread", "reviews", "sessions", "straight"]
