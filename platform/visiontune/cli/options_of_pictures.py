"""Options of the verbs about pictures, and about the tables of what can be named."""

from __future__ import annotations

import argparse
from pathlib import Path

from visiontune.cli import verbs, verbs_of_pictures
from visiontune.cli.shared_options import Verb, days, few, size, takes_studies_dir


def picture_options(verb: Verb) -> None:
    """Pictures and what is done to them."""
    init, ingest, data = verb(verbs_of_pictures.init), verb(verbs_of_pictures.ingest), verb(verbs_of_pictures.data)
    preview = verb(verbs_of_pictures.preview)
    what = "folder, manifest, Parquet, COCO's JSON, digits, torchvision:NAME; or source=... for all by KEY=VALUE"
    for one in (init, ingest):
        one.add_argument("source", metavar="SOURCE", help=what)
        one.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the section data, such as image_size=224")
    init.add_argument("--out", type=Path, metavar="FILE.yaml", help="else STUDY.yaml here")
    init.add_argument("--name", metavar="STUDY", help="of the study; else after the source")
    init.add_argument("--pretrained", action=argparse.BooleanOptionalAction, help="start from ImageNet's weights")
    init.add_argument("--mirrored", action=argparse.BooleanOptionalAction, help="a mirrored picture keeps its class")
    init.add_argument("--hours", metavar="H", help="that the search may take (1)")
    init.add_argument("--yes", action="store_true", help="ask nothing: what no option says is decided by the pictures")
    init.add_argument("--force", action="store_true", help="write over a file that is there")
    ingest.add_argument("--name", help="call it so, for `visiontune data NAME`")
    ingest.add_argument("--plain", action="store_true", help="progress as lines of key=value, also on a terminal")
    data.add_argument("data", nargs="?", metavar="NAME|DIGEST", help="of an ingest; the beginning of a digest is enough; none lists all")
    data.add_argument("--prune", type=days, metavar="DAYS", help="remove what no name and no study means and was not used for so long")
    data.add_argument("--storage", default="journal", metavar="URL", help="of studies in a database, for --prune and the list")
    data.add_argument("--json", action="store_true", help="everything, for programs")
    data.add_argument("--verify", action="store_true", help="read every pixel and tell which shard is damaged")
    data.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw some training pictures of each class")
    data.add_argument("--pairs", type=Path, metavar="FILE.png", help="draw pictures that are nearly the same side by side")
    preview.add_argument("file", type=Path, metavar="FILE|RECIPE", help="search-space file, or a recipe: studies/NAME/winner.yaml")
    preview.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as data.path=pictures in a recipe")
    preview.add_argument("-n", type=few, default=4, metavar="N", help="pictures, each of another class (4)")
    preview.add_argument("--out", type=Path, metavar="FILE.png", help="of the sheet; else in the study's folder or beside the recipe")
    preview.add_argument("--study", metavar="NAME", help="ask this study's winner which classes the ops confuse")
    where = "write a recipe's policy instead: .yaml, .json (albumentations) or .py (torchvision)"
    preview.add_argument("--export", type=Path, metavar="FILE", help=where)
    for one in (ingest, data, preview):
        takes_studies_dir(one)


def table_options(verb: Verb) -> None:
    """What can be named in a file."""
    tables = verb(verbs.list_tables, "list")
    tables.add_argument("table", nargs="?", metavar="TABLE|SECTION", help="such as models, optimizers, training; without it all names")
    tables.add_argument("--costs", action="store_true", help="of ops: microseconds a picture, measured here, 15 s")
    tables.add_argument("--image-size", type=size, default=32, metavar="PX", help="of a side, for --costs (32)")
    tables.add_argument("--timm", metavar="PATTERN", help="of models: timm's names with their weights' tags, such as 'vit_*dinov3*'")
    tables.add_argument("--markdown", action="store_true", help="with ranges; models are counted and tried out, half a minute")
    schema = verb(verbs.schema)
    for one in (tables, schema):
        one.add_argument("--plugin", type=Path, metavar="FILE", help="with the rows that this file adds to the tables")
