"""Several problems as one: their rows stacked, their parameters mapped onto common coordinates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Model, Parameter
from powercal.errors import FitError
from powercal.fitting.common_errors import CommonErrors, _with_data
from powercal.fitting.named_errors import Group
from powercal.fitting.pieces import Block, Coordinate
from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Piece:
    """One part as a problem whose coordinates are plain SI numbers.

    Attributes
    ----------
    problem : Problem
        The part alone.
    sources : tuple of str
        For each of its coordinates the coordinate of the joint fit, or the tie, that gives it.
    common : CommonErrors
        Errors that many points of this part share.
    one_draw : tuple of str
        Names of errors of which all of this part has one draw, and so have other parts.
    """

    name: str
    problem: Problem
    sources: tuple[str, ...]
    common: CommonErrors
    one_draw: tuple[str, ...] = ()


def in_plain_numbers(problem: Problem) -> Problem:
    """Return a problem whose coordinates are the SI values themselves, without bounds."""
    plain = (
        Coordinate(c.name, c.parameter, c.member, -inf, inf, False, 0.0, 1.0)
        for c in problem.coordinates
    )
    return replace(problem, coordinates=tuple(plain))


@dataclass(frozen=True)
class JointProblem(Problem):
    """What a solver needs of several parts; the same face as that of one problem.

    Attributes
    ----------
    pieces : tuple of Piece
        The parts.
    tied : mapping
        Numbers of parts that follow from others, as quantities of the joint fit.
    """

    pieces: tuple[Piece, ...] = ()
    tied: Mapping[str, Derived] = field(default_factory=dict)

    def local(self, piece: Piece, x: FloatArray) -> FloatArray:
        """Return the coordinates of a part."""
        values = self.values(x)
        return np.array(
            [self.quantity(s, x) if s in self.tied else values[s] for s in piece.sources]
        )

    def derived(self, name: str) -> Derived | None:
        """Return a derived quantity or a tied number."""
        return self.tied.get(name) or self._named.get(name)

    @cached_property
    def _named(self) -> dict[str, Derived]:
        return {d.name: d for d in self.model.derived}

    def predict(self, x: FloatArray) -> list[NDArray[Any]]:
        """Return the curve of every part at the points of each of its blocks."""
        return [c for p in self.pieces for c in p.problem.predict(self.local(p, x))]

    def derivatives(self, x: FloatArray) -> list[NDArray[Any]]:
        """Return per block the derivatives by the SI value of every joint coordinate."""
        out = []
        for piece in self.pieces:
            chain = self.chain(piece, x)
            out += [d @ chain for d in piece.problem.derivatives(self.local(piece, x))]
        return out

    def chain(self, piece: Piece, x: FloatArray) -> FloatArray:
        """Return d(SI value of the part)/d(SI value of the joint fit), (local, joint)."""
        index = {c.name: i for i, c in enumerate(self.coordinates)}
        table, slopes = np.zeros((len(piece.sources), len(self.coordinates))), self.slopes(x)
        for row, source in enumerate(piece.sources):
            if source in self.tied:
                table[row] = self.gradient(source, x) / slopes
            else:
                table[row, index[source]] = 1.0
        return table

    def full_curve(self, x: FloatArray, index: int) -> NDArray[Any]:
        """Return the curve of one joint block at all points of its part."""
        offset = 0
        for piece in self.pieces:
            blocks = piece.problem.blocks
            if index < offset + len(blocks):
                block = blocks[index - offset]
                return piece.problem.full_curve(self.local(piece, x), block.index)
            offset += len(blocks)
        raise IndexError(index)

    def with_sigma(self, sigmas: tuple[FloatArray, ...], modes: FloatArray | None) -> JointProblem:
        """Return the problem with other standard deviations, in the parts too."""
        pieces, rest = [], list(sigmas)
        for piece in self.pieces:
            count = len(piece.problem.blocks)
            mine = piece.problem.with_sigma(tuple(rest[:count]), None)
            pieces.append(replace(piece, problem=mine))
            rest = rest[count:]
        return with_pieces(self, pieces, modes)

    def only(self, names: Sequence[str], priors: bool = True) -> JointProblem:
        """Return the same coordinates with the data of some parts only."""
        pieces = [p for p in self.pieces if p.name in names]
        modes = None
        if self.modes is not None:
            owner = np.concatenate([[p.name] * rows_of(p) for p in self.pieces])
            modes = self.modes[np.isin(owner, list(names))]
            modes = modes[:, modes.any(axis=0)]
        few = with_pieces(self, pieces, modes)
        return few if priors else replace(few, priors=())


def rows_of(piece: Piece) -> int:
    """Return how many real numbers a part holds."""
    return sum(b.size for b in piece.problem.blocks)


def with_pieces(
    problem: JointProblem, pieces: Sequence[Piece], modes: FloatArray | None
) -> JointProblem:
    """Return the joint problem of these parts, blocks renumbered."""
    named = [(p, b) for p in pieces for b in p.problem.blocks]
    blocks: tuple[Block, ...] = tuple(
        replace(b, name=f"{p.name}.{b.name}", index=i) for i, (p, b) in enumerate(named)
    )
    powers = tuple(p.problem.power_observables[b.index] for p, b in named)
    return replace(
        problem, pieces=tuple(pieces), blocks=blocks, power_observables=powers, modes=modes
    )


@dataclass(frozen=True)
class JointCommonErrors(CommonErrors):
    """The common errors of every part; those that a person named alike are one error."""

    pieces: tuple[Piece, ...] = ()

    @property
    def any(self) -> bool:
        """Whether some part has any."""
        return any(p.common.any for p in self.pieces)

    @cached_property
    def _placed(self) -> tuple[tuple[str, Group], ...]:
        """For every error of every part: the part, and its columns in the joint table."""
        end, known, out = 0, dict[tuple[str, int], int](), []
        for piece in self.pieces:
            for group in piece.common.groups:
                width = group.columns.stop - group.columns.start
                named = group.name in piece.one_draw
                first = known.get((group.name, width), end) if named else end
                known |= {(group.name, width): first} if named else {}
                end = max(end, first + width)
                out.append((piece.name, group._replace(columns=slice(first, first + width))))
        return tuple(out)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The sources of all parts, each once; what is one part's own bears its name."""
        alike = {name for p in self.pieces for name in p.one_draw}
        found = {}
        for part, g in self._placed:
            name = g.name if g.name in alike else f"{g.name} ({part})"
            found[g.columns.start, g.columns.stop] = g._replace(name=name)
        return tuple(found[key] for key in sorted(found))

    @property
    def shared(self) -> tuple[str, ...]:
        """Named errors that several parts share."""
        count = Counter((g.name, g.columns.start) for _, g in self._placed)
        return tuple(name for (name, _), times in count.items() if times > 1)

    def relinearise(
        self, problem: Problem, original: Problem, x: FloatArray
    ) -> tuple[Problem, FloatArray | None]:
        """Move the inputs of every part to the values best for all; lay the modes out again."""
        assert isinstance(problem, JointProblem)
        assert isinstance(original, JointProblem)
        points = [problem.local(piece, x) for piece in problem.pieces]
        full = self._laid_out(problem.pieces, points)
        if full is None or not any(p.common.axes for p in problem.pieces):
            return replace(problem, modes=full), full
        best = replace(problem, modes=full).common_amplitudes(problem.data - problem.rows(x))
        pieces = [
            _moved(piece, first, at, np.concatenate([best[:0], *self._of(piece, best)]))
            for piece, first, at in zip(problem.pieces, original.pieces, points, strict=True)
        ]
        full = self._laid_out(pieces, points)
        return with_pieces(problem, pieces, full), full

    def _of(self, piece: Piece, amplitudes: FloatArray) -> list[FloatArray]:
        """Return the amplitudes of the errors of one part, in its own order."""
        return [amplitudes[g.columns] for name, g in self._placed if name == piece.name]

    def _laid_out(self, pieces: Sequence[Piece], points: list[FloatArray]) -> FloatArray | None:
        if not self._placed:
            return None
        width = max(g.columns.stop for _, g in self._placed)
        out = []
        for piece, at in zip(pieces, points, strict=True):
            table = np.zeros((rows_of(piece), width))
            own = piece.common.modes(piece.problem, at)
            mine = (g for name, g in self._placed if name == piece.name)
            for group, place in zip(piece.common.groups, mine, strict=True):
                assert own is not None
                table[:, place.columns] = own[:, group.columns]
            out.append(table)
        return np.concatenate(out)


def _moved(piece: Piece, first: Piece, at: FloatArray, amplitudes: FloatArray) -> Piece:
    """Return a part with its inputs moved by so many standard deviations of their errors.

    As :meth:`CommonErrors.relinearise` does for one problem, but by amplitudes that all parts
    together have found.
    """
    common, inputs, offset = piece.common, dict(first.problem.inputs), 0
    for s in common.axes:
        inputs[s.on] = inputs[s.on] + s.size * amplitudes[offset : offset + s.count][s.element]
        offset += s.count
    if not offset:
        return piece
    moved = replace(piece.problem, inputs=inputs)
    modes = common.modes(moved, at)
    assert modes is not None
    shift = modes[:, :offset] @ amplitudes[:offset]
    return replace(piece, problem=_with_data(moved, first.problem, shift))


def joint_model(
    rows: tuple[Parameter, ...], derived: tuple[Derived, ...], blocks: Sequence[str]
) -> Model:
    """Return a model that names what a joint fit has; its curves are those of the parts."""

    def no_curve(*_: Any, **__: Any) -> NoReturn:
        raise FitError("a joint fit has a curve for each part; ask result.parts[name] for it")

    return Model(
        name="joint",
        summary="several measurements, each with its model",
        inputs=(),
        observables=tuple(blocks),
        parameters=rows,
        curve=no_curve,
        guess=no_curve,
        derived=derived,
    )
