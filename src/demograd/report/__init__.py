"""From a run folder to tables, charts and one HTML page: results are read, no model is touched, nothing is decided."""

from typing import TYPE_CHECKING

from demograd.lazy import make_lazy

if TYPE_CHECKING:
    from demograd.report.compare.comparison import Comparison as Comparison
    from demograd.report.compare.comparison import compare_runs as compare_runs
    from demograd.report.networks import network_table as network_table
    from demograd.report.page import write_report as write_report
    from demograd.report.paper.formats import check_formats as check_formats
    from demograd.report.paper.formats import write_formats as write_formats
    from demograd.report.run import Check as Check
    from demograd.report.run import ReportedRun as ReportedRun
    from demograd.report.run import read_run as read_run
    from demograd.report.scores import score_table as score_table
    from demograd.report.section import Entry as Entry
    from demograd.report.section import Figure as Figure
    from demograd.report.section import Group as Group
    from demograd.report.section import Head as Head
    from demograd.report.section import Section as Section
    from demograd.report.section import Table as Table
    from demograd.report.section import TableRow as TableRow
    from demograd.report.section import section as section
    from demograd.report.sections.claims import deciding_p as deciding_p
    from demograd.statistics import Finding as Finding

make_lazy(__name__)
