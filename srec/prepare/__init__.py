"""Reviews or session files -> DATA, the folder that training reads (its files: docs/architecture.md)."""

from srec.prepare.report import Report
from srec.prepare.reviews import prepare_reviews
from srec.prepare.sessions import prepare_sessions
from srec.prepare.settings import ReviewSettings, SessionSettings

__all__ = ["Report", "ReviewSettings", "SessionSettings", "prepare_reviews", "prepare_sessions"]
