"""Data batches and outcomes <-> bytes. Costs are per batch; rows are one MessagePack blob."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from heronshim import native
from heronshim.core.codec.reading import parse
from heronshim.errors import RemoteProtocolError, ValueEncodingError
from heronshim.wire.v1 import data_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heronshim._native import PackedRows

    Rows = list[list[Any]] | PackedRows
    """Of one batch: a PackedRows makes each list as it is asked for."""
    AnyRows = TypeVar("AnyRows", list[list[Any]], Rows)


def _refuse(value: object) -> Any:
    msg = f"a value of type {type(value).__name__} has no MessagePack form"
    raise NotImplementedError(msg)


def _extension(code: int, data: memoryview) -> Any:
    return msgspec.msgpack.Ext(code, bytes(data))


pack_rows = msgspec.msgpack.Encoder(enc_hook=_refuse).encode
"""Encode a list of rows; raises TypeError, NotImplementedError, OverflowError or RecursionError."""
_unpack_rows = msgspec.msgpack.Decoder(list[list[Any]], ext_hook=_extension).decode
ENCODING_ERRORS = (TypeError, NotImplementedError, OverflowError, ValueError, RecursionError)
"""What pack_rows raises for a value that it cannot write."""


def unwritable_error(
    component: str, stream: str, row: object, fields: tuple[str, ...], reason: str
) -> ValueEncodingError:
    """Return the error that names component, stream and field of a row that cannot be sent."""
    where = f'component "{component}", stream "{stream}"'
    for position, value in enumerate(row if isinstance(row, (list, tuple)) else ()):
        try:
            pack_rows([value])
        except ENCODING_ERRORS as error:
            name = fields[position] if position < len(fields) else f"#{position}"
            where, reason = f'{where}, field "{name}"', str(error)
            break
    msg = (
        f"{where}: {reason}; emit text, bytes, numbers of at most 64 bits, true, false, null, "
        "lists or maps"
    )
    return ValueEncodingError(msg)


def encode_batch(
    component: str,
    stream: str,
    row_count: int,
    rows: bytes,
    root_counts: Iterable[int],
    roots: bytes,
    edges: bytes,
) -> bytes:
    """Return a DataBatch's payload; the columns are as in data.proto."""
    return data_pb2.DataBatch(
        component=component,
        stream=stream,
        row_count=row_count,
        rows=rows,
        root_counts=root_counts,
        roots=roots,
        edges=edges,
    ).SerializeToString()


def decode_batch(payload: bytes | memoryview) -> tuple[data_pb2.DataBatch, list[list[Any]]]:
    """Return the batch and its rows.

    Raises:
        RemoteProtocolError: it is damaged, or its columns do not fit each other.
    """
    batch = parse(data_pb2.DataBatch, payload)
    return batch, _fitting(batch, _unpack(batch, batch.rows))


def open_batch(payload: bytes | memoryview) -> tuple[data_pb2.DataBatch, Rows]:
    """Return the batch and its rows, checked, but made into values one by one where C does it.

    Raises:
        RemoteProtocolError: as decode_batch.
    """
    batch = parse(data_pb2.DataBatch, payload)
    blob = batch.rows
    rows: Rows | None = native.MODULE.packed_rows(blob) if native.MODULE is not None else None
    return batch, _fitting(batch, _unpack(batch, blob) if rows is None else rows)


def _unpack(batch: data_pb2.DataBatch, blob: bytes) -> list[list[Any]]:
    try:
        return _unpack_rows(blob)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f'DataBatch.rows of "{batch.component}", stream "{batch.stream}": {error}'
        raise RemoteProtocolError(msg) from error


def _fitting(batch: data_pb2.DataBatch, rows: AnyRows) -> AnyRows:
    """Return the rows, when the columns beside them fit."""
    pairs = sum(batch.root_counts) if batch.root_counts else len(rows)
    columns_fit = len(batch.roots) == len(batch.edges) and (
        len(batch.roots) == 8 * pairs or not (batch.roots or batch.root_counts)
    )
    counts_fit = not batch.root_counts or len(batch.root_counts) == len(rows)
    if not rows or len(rows) != batch.row_count or not columns_fit or not counts_fit:
        msg = (
            f"DataBatch has {len(rows)} rows, row_count {batch.row_count}, "
            f"{len(batch.root_counts)} root counts, {len(batch.roots)} bytes of roots and "
            f"{len(batch.edges)} of edges; they do not fit"
        )
        raise RemoteProtocolError(msg)
    return rows


def encode_outcomes(kinds: bytes, roots: bytes, xors: bytes, *, distinct: bool) -> bytes:
    """Return an Outcomes' payload; `kinds` empty means all are acks."""
    return data_pb2.Outcomes(
        kinds=kinds, roots=roots, xors=xors, distinct=distinct
    ).SerializeToString()


def decode_outcomes(payload: bytes | memoryview) -> data_pb2.Outcomes:
    """Return the outcomes.

    Raises:
        RemoteProtocolError: it is damaged, or its columns do not fit each other.
    """
    outcomes = parse(data_pb2.Outcomes, payload)
    count, rest = divmod(len(outcomes.roots), 8)
    kinds_fit = not outcomes.kinds or (
        len(outcomes.kinds) == count and max(outcomes.kinds, default=0) <= 2
    )
    if rest or len(outcomes.xors) != len(outcomes.roots) or not kinds_fit:
        msg = (
            f"Outcomes has {len(outcomes.kinds)} kinds, {len(outcomes.roots)} bytes of roots and "
            f"{len(outcomes.xors)} of XORs; they do not fit"
        )
        raise RemoteProtocolError(msg)
    return outcomes
