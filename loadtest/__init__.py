"""Load tests: sessions to send, a Locust scenario, and a runner that reports and judges."""

from srec.loadtest.report import LoadReport
from srec.loadtest.run import run_loadtest
from srec.loadtest.settings import PRESETS, LoadSettings, load_settings

__all__ = ["PRESETS", "LoadReport", "LoadSettings", "load_settings", "run_loadtest"]
