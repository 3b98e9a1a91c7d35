"""Sections of a report that tell of the winner's network: its classes, its mistakes, and what it sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visiontune.errors import plural
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inspection.confusion import class_table
from visiontune.inspection.corruptions import SEVERITIES
from visiontune.results.report.blocks import Block, Image, Table, Text
from visiontune.results.report.subject import ReportSubject
from visiontune.results.report.words import figure
from visiontune.results.use.class_table import MAX_CLASSES
from visiontune.tuning.study.read_confirmations import WITH_VAL

NUM_PAIRS = 12


def classes(subject: ReportSubject) -> Sequence[Block] | None:
    """Which classes it takes for which, and how it does on each."""
    blocks: list[Block] = []
    if subject.views and subject.study.kept == WITH_VAL:
        blocks.append(Text(["The network was trained on the validation pictures too: what is said of them here and below flatters it."]))
    if "confusion" in subject.views:
        found = subject.views["confusion"].records[0]
        said = f"{found.num_wrong:,} of {int(found.count_KK.sum()):,} validation pictures are wrong."
        pairs = [(pair.true, pair.taken, f"{pair.count:,}", f"{pair.num:,}") for pair in found.pairs[:NUM_PAIRS]]
        header = ("class", "taken for", "pictures", "of")
        if pairs:
            blocks.append(Table("Validation pictures by the classes that are confused most", header, pairs, (2, 3), said))
        blocks += _images(subject, "confusion", f"Confusion matrix, a row for each class. {said} The table says which most often.")
        if not subject.test:
            blocks.append(_class_table("validation", class_table(found).to_dict()))
    if subject.test:
        blocks.append(_class_table("test", subject.test))
    return blocks or None


def _class_table(split: str, table: Mapping[str, Any]) -> Table:
    """A row for each class; of very many, those with the lowest recall."""
    names = table["classes"]
    shown = range(len(names)) if len(names) <= MAX_CLASSES else sorted(range(len(names)), key=lambda k: table["recall"][k])[:MAX_CLASSES]
    columns = ("precision", "recall", "f1", *(("average_precision", "threshold") if table.get("threshold") else ()))
    rows = [
        (
            names[k],
            f"{table['support'][k]:,}",
            *(figure("val_macro_f1", table[name][k]) if table["support"][k] else "-" for name in columns),
        )
        for k in shown
    ]
    left = len(names) - len(shown)
    note = f"Classes of higher recall that are left out: {left:,}." if left else ""
    header = ("class", "pictures", "precision", "recall", "F1", *(("average precision", "said from") if table.get("threshold") else ()))
    return Table(f"Each class on the {split} pictures", header, rows, range(1, len(header)), note)


def mistakes(subject: ReportSubject) -> Sequence[Block] | None:
    """The pictures that it gets wrong, surest first."""
    if "mistakes" not in subject.views:
        return (Text([subject.why_no_views]),) if subject.why_no_views else None
    view = subject.views["mistakes"]
    if not view.records:
        return (Text(["None of the validation pictures is wrong."]),)
    found = len(view.records)
    alt = f"The {min(found, 40)} validation pictures that it gets wrong with most confidence; each with its class, what was said, its file."
    said = "The first of them, with their files"
    return (
        *_images(subject, "mistakes", alt),
        Text([f"{plural(found, 'validation picture')} in all. {said}:"]),
        Text(view.lines, is_list=True),
    )


def labels(subject: ReportSubject) -> Sequence[Block] | None:
    """Validation pictures whose label may be wrong."""
    if "labels" not in subject.views:
        return None
    said, *listed = subject.views["labels"].lines
    alt = "Pictures whose label is doubted, with both classes."
    return Text([f"{said}."]), Text(listed, is_list=True), *_images(subject, "labels", alt)


def corruptions(subject: ReportSubject) -> Sequence[Block] | None:
    """How much of its accuracy it keeps on corrupted pictures."""
    if "corruptions" not in subject.views:
        return None
    found = subject.views["corruptions"].records[0]
    header = ("corruption", *(f"severity {severity}" for severity in SEVERITIES))
    rows = [(name, *(figure("val_top1", value) for value in values)) for name, values in found.top1.items()]
    clean, mean = figure("val_top1", found.clean), figure("val_top1", found.mean)
    note = f"{clean} of {found.num_pictures:,} validation pictures as they are, {mean} over all corruptions and severities."
    return (Table("Validation accuracy on corrupted pictures", header, rows, range(1, len(header)), note),)


ALT = {
    "attribution": "Pictures beside maps of where the network looks: right answers, then wrong ones.",
    "filters": "The kernels of the first convolution as small pictures.",
    "maps": "Feature maps of each stage for one picture.",
    "receptive_field": "One picture with a frame for what a position of each stage depends on.",
    "visualisation": "Made pictures that excite channels and classes most.",
}


def sees(subject: ReportSubject) -> Sequence[Block] | None:
    """Where it looks and what its layers do."""
    blocks: list[Block] = []
    for name, alt in ALT.items():
        if name in subject.views:
            view = subject.views[name]
            blocks += [Text([f"{view.title}: {view.lacks or '; '.join(view.lines)}."]), *_images(subject, name, alt)]
    return blocks or None


def augmentation(subject: ReportSubject) -> Sequence[Block] | None:
    """What the winner's policy does to pictures."""
    sheet = subject.folder.winner_sheet
    if subject.winner is None or not sheet.exists():
        return None
    return (_sheet(subject.folder),)


def _sheet(folder: StudyFolder) -> Image:
    import numpy as np
    from PIL import Image as PillowImage

    pixels = np.asarray(PillowImage.open(folder.winner_sheet).convert("RGB"))
    alt = "Training pictures as they are in the first column, beside what the winner's augmentation makes of them."
    return Image.of(pixels, alt, "winner_augmentation.png of the study's folder")


def _images(subject: ReportSubject, name: str, alt: str) -> Iterator[Image]:
    for picture in (subject.views[name].pictures or {}).values():
        yield Image.of(picture, alt, subject.views[name].title)
