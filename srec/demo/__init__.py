from srec.demo.generator import DemoSummary, write_demo

__all__ = ["DemoSummary", "write_demo"]
