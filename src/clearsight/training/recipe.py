"""Recipes: all that a training needs to be told, in one TOML file. What it doesn't know it refuses.

docs/training.md explains every table; ``recipes/`` has three of them.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from clearsight.errors import ArgumentError

T = TypeVar("T")


@dataclass(frozen=True)
class BankPlan:
    """Simulated clips, rendered once."""

    clips: int
    first: int = 0
    """Number of the first clip, which is its seed; numbers from 10 000 000 on belong to the bench."""
    frames: int = 6
    size: int = 192
    workers: int = 1
    real: Path | None = None
    """Folder of clear real chips that serve as ground in some clips."""


@dataclass(frozen=True)
class Mined:
    """An archive to mine: the arguments of `clearsight.search`, and what is wanted of it."""

    source: str
    clips: int
    frames: int = 8
    size: int = 128
    per_place: int = 4
    seed: int = 0
    collection: str | None = None
    bbox: tuple[float, ...] | None = None
    datetime: str | None = None
    level: str | None = None
    offset: float | None = None


@dataclass(frozen=True)
class Clear:
    """Windows of clear real chips, labelled clear."""

    chips: Path
    """L1C, 13 bands, 10 m, as `clearsight.simulate.places.real.clear_chips` reads it."""
    clips: int
    size: int = 96
    seed: int = 0


@dataclass(frozen=True)
class Stage:
    """One training."""

    minutes: float
    seed: int = 0
    rate: float = 2e-3
    last_rate: float = 0.01
    """Share of the rate that is left at the end; more where another stage goes on from there."""
    size: int = 128
    clips: int = 12
    """In a batch."""
    simulated: int = 10
    """Turns of the simulated clips; a batch is drawn from one source, as often as it has turns among all."""
    mined: int = 0
    """Turns of each mined archive; there are none before ``context``."""
    clear: int = 0
    """Turns of the clear real chips."""
    widths: tuple[int, int, int, int, int] | None = None
    """Of this stage's network; by default the recipe's. Stages that start from another have its widths."""


@dataclass(frozen=True)
class Machine:
    """What the trainings run on."""

    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    processes: int = 2
    """That train together, on a CPU; one on a GPU."""
    threads: int = 1
    workers: int = 1
    """Processes that make batches, for each of those that train."""


@dataclass(frozen=True)
class Recipe:
    """All of a training."""

    out: Path
    """Folder for everything that is made."""
    version: str
    """Of the exported model."""
    bank: BankPlan
    held_out: BankPlan
    """For calibration and scores; never trained on."""
    similarity: Stage
    """Starts from ``alone``, unless it has widths of its own."""
    alone: Stage
    """The look at one frame, without context."""
    context: Stage
    again: Stage
    """Once more after the teacher has relabelled what was mined."""
    mined: tuple[Mined, ...] = ()
    """Without any, the stages that need mined clips are left out."""
    clear: Clear | None = None
    widths: tuple[int, int, int, int, int] = (24, 40, 64, 96, 112)
    head: int = 8
    machine: Machine = field(default_factory=Machine)


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : path
        A TOML file. ``out`` and other relative paths are meant from where the command runs.

    Raises
    ------
    ArgumentError
        The file isn't there, isn't TOML, has a key that no recipe has, lacks one, or a value of the wrong type or
        range.

    Examples
    --------
    >>> read_recipe("recipes/small.toml").version  # doctest: +SKIP
    'small'
    """
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentError(f"recipe={str(path)!r} can't be read: {error}. Give a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(f"recipe={str(path)!r} isn't TOML: {error}.") from error
    recipe = _made(Recipe, table, where="")
    _check(recipe)
    return recipe


def described(recipe: Recipe) -> dict[str, Any]:
    """Plain words and numbers, for JSON."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(recipe))
    return plain


def _check(recipe: Recipe) -> None:
    stages = {"similarity": recipe.similarity, "alone": recipe.alone, "context": recipe.context, "again": recipe.again}
    for name, stage in stages.items():
        if stage.minutes <= 0 or stage.rate <= 0 or stage.clips < 1:
            raise ArgumentError(f"{name}: minutes, rate and clips have to be above 0; it has {stage}.")
        if stage.size % 32 or not 32 <= stage.size <= min(recipe.bank.size, recipe.held_out.size):
            raise ArgumentError(
                f"{name}.size={stage.size}: expected a multiple of 32, no larger than the clips of the banks "
                f"({recipe.bank.size} and {recipe.held_out.size})."
            )
        if min(stage.simulated - 1, stage.mined, stage.clear) < 0:
            raise ArgumentError(
                f"{name}: expected simulated of 1 or more, mined and clear of 0 or more; it has {stage}."
            )
        if stage.mined and not recipe.mined:
            raise ArgumentError(f"{name}.mined={stage.mined}, but the recipe has no [[mined]] archive; add one.")
        if stage.mined and name in ("similarity", "alone"):
            raise ArgumentError(
                f"{name}.mined={stage.mined}: mined clips have no labels before [context]; leave it out."
            )
        if stage.clear and recipe.clear is None:
            raise ArgumentError(f"{name}.clear={stage.clear}, but the recipe has no table [clear]; add one.")
        too_small = [mined.source for mined in recipe.mined if stage.mined and mined.size % 32]
        if too_small:
            raise ArgumentError(f"mined: clips of {too_small[0]!r} have no size that is a multiple of 32.")
    both = range(recipe.bank.first, recipe.bank.first + recipe.bank.clips)
    if recipe.held_out.first < both.stop and both.start < recipe.held_out.first + recipe.held_out.clips:
        raise ArgumentError(
            f"held_out.first={recipe.held_out.first}: these clips are also in the bank; expected others."
        )
    if recipe.machine.device not in ("cpu", "cuda"):
        raise ArgumentError(f"machine.device={recipe.machine.device!r}: expected 'cpu' or 'cuda'.")


def _made(kind: type[T], table: object, *, where: str) -> T:
    """A dataclass from a table; unknown and missing keys are errors."""
    if not isinstance(table, dict):
        raise ArgumentError(f"{where or 'recipe'}={table!r}: expected a table.")
    hints = get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ArgumentError(f"{prefix}{unknown[0]} is no key of a recipe; expected one of {', '.join(fields)}.")
    missing = [
        name
        for name, each in fields.items()
        if name not in table and each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ArgumentError(f"{prefix}{missing[0]} is missing in the recipe; add it.")
    return kind(**{name: _value(hints[name], value, where=prefix + name) for name, value in table.items()})


def _value(hint: Any, value: object, *, where: str) -> Any:
    """A value of the type that is wanted."""
    if get_origin(hint) in (Union, types.UnionType):
        return _value(next(kind for kind in get_args(hint) if kind is not type(None)), value, where=where)
    if dataclasses.is_dataclass(hint):
        return _made(hint, value, where=where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if not isinstance(value, list) or (kinds[-1] is not ... and len(value) != len(kinds)):
            raise ArgumentError(f"{where}={value!r}: expected a list{'' if kinds[-1] is ... else f' of {len(kinds)}'}.")
        return tuple(_value(kinds[0], each, where=f"{where}[{i}]") for i, each in enumerate(value))
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or isinstance(value, bool):
        raise ArgumentError(f"{where}={value!r}: expected {hint.__name__}.")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value
