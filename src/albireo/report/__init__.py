"""The report page: one HTML file that shows a run, and every star of it, without a network."""

from albireo.report.page import report_page

__all__ = ["report_page"]
