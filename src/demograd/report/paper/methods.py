"""The methods section of a language model's run: its settings in sentences, as the files of the run folder say."""

from demograd.report.paper.analysis import metrics, statistics, validity
from demograd.report.paper.experiment import model, sample, task
from demograd.report.paper.fine_tuning import fine_tuning
from demograd.report.paper.prose import Paragraph
from demograd.report.paper.software import software
from demograd.report.run import ReportedRun


def methods(run: ReportedRun) -> list[Paragraph]:
    """The paragraphs of a language model's run, without those that it has nothing to say in."""
    paragraphs = [
        ("Model", model(run)),
        ("Task and prompts", task(run)),
        ("Demonstrations and queries", sample(run)),
        ("Fine-tuning", fine_tuning(run)),
        ("Metrics", metrics(run)),
        ("Aggregation and tests", statistics(run)),
        ("Validity", validity(run)),
        ("Software", software(run)),
    ]
    written = ((title, tuple(sentences)) for title, sentences in paragraphs)
    return [Paragraph(title, sentences) for title, sentences in written if sentences]
