from tests.training.conftest import _one_thread, sessions

__all__ = ["_one_thread", "sessions"]
