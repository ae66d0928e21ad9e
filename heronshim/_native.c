/* The per-tuple path of an instance, for CPython 3.11 and newer. Optional (heronshim/native.py).

   Each callable here has a twin in Python, its reference, and handles the common case alone: what
   is not plainly that case (a key not met yet, another stream, odd arguments) goes to the twin
   with the very arguments, which raises what Python raises. No function here runs Python code
   between its first and its last change of a batch, so a row is whole or absent for the watcher
   thread, which needs the GIL to look. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

/* Grows with each change that heronshim/native.py and its users must know of. */
#define INTERFACE 2

static PyObject *str_id, *str_current, *str_roots, *str_children;
static PyObject *zero;

/* ---- Tuple: what heronshim.api.tuple.Tuple is, with its methods set from there ---- */

typedef struct {
    PyObject_HEAD
    PyObject *values;
    PyObject *source;
    Py_ssize_t row;
} TupleObject;

static PyTypeObject *tuple_type;

/* Memory of tuples that are gone: most bolts let go of one before the next is made. */
#define SPARE_MAX 8
static TupleObject *spare[SPARE_MAX];
static int spare_count;

static PyObject *tuple_make(PyTypeObject *type, PyObject *values, PyObject *source, Py_ssize_t row)
{
    TupleObject *self;
    if (type == tuple_type && spare_count > 0) {
        self = spare[--spare_count];
        (void)PyObject_Init((PyObject *)self, type);
    } else {
        self = (TupleObject *)type->tp_alloc(type, 0);
        if (self == NULL)
            return NULL;
    }
    self->values = Py_NewRef(values);
    self->source = Py_NewRef(source);
    self->row = row;
    return (PyObject *)self;
}

static PyObject *tuple_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"values", "_source", "_row", NULL};
    PyObject *values, *source;
    Py_ssize_t row = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|n:Tuple", names, &values, &source, &row))
        return NULL;
    return tuple_make(type, values, source, row);
}

static void tuple_dealloc(TupleObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_CLEAR(self->values);
    Py_CLEAR(self->source);
    if (type == tuple_type && spare_count < SPARE_MAX)
        spare[spare_count++] = self;
    else
        type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *tuple_reduce(TupleObject *self, PyObject *Py_UNUSED(none))
{
    return Py_BuildValue("O(OOn)", Py_TYPE(self), self->values, self->source, self->row);
}

static PyMemberDef tuple_members[] = {
    {"values", T_OBJECT_EX, offsetof(TupleObject, values), 0, "Values, in the order of `fields`."},
    {"_source", T_OBJECT_EX, offsetof(TupleObject, source), 0, NULL},
    {"_row", T_PYSSIZET, offsetof(TupleObject, row), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef tuple_methods[] = {
    {"__reduce__", (PyCFunction)tuple_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot tuple_slots[] = {
    {Py_tp_new, tuple_new},
    {Py_tp_dealloc, tuple_dealloc},
    {Py_tp_members, tuple_members},
    {Py_tp_methods, tuple_methods},
    {0, NULL},
};

/* Without collection of cycles, as its twin: a tuple is made for each row. */
static PyType_Spec tuple_spec = {
    "heronshim.api.tuple.Tuple", sizeof(TupleObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    tuple_slots,
};

/* ---- MessagePack rows ---- */

#define DEPTH_MAX 32

static uint16_t big16(const uint8_t *p) { return (uint16_t)((uint16_t)p[0] << 8 | p[1]); }

static uint32_t big32(const uint8_t *p) { return (uint32_t)big16(p) << 16 | big16(p + 2); }

static uint64_t big64(const uint8_t *p) { return (uint64_t)big32(p) << 32 | big32(p + 4); }

static int is_ascii(const uint8_t *p, size_t size)
{
    uint64_t seen = 0, word;
    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        seen |= word;
    }
    for (; size > 0; p++, size--)
        seen |= *p;
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

/* Return the end of text that Python can read, else NULL. */
static const uint8_t *skip_text(const uint8_t *p, size_t size, const uint8_t *end)
{
    if ((size_t)(end - p) < size)
        return NULL;
    if (!is_ascii(p, size)) {
        PyObject *text = PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)size, NULL);
        if (text == NULL) {
            PyErr_Clear();
            return NULL;
        }
        Py_DECREF(text);
    }
    return p + size;
}

static const uint8_t *skip_bytes(const uint8_t *p, size_t size, const uint8_t *end)
{
    return (size_t)(end - p) < size ? NULL : p + size;
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end, int depth);

static const uint8_t *skip_values(const uint8_t *p, size_t count, const uint8_t *end, int depth)
{
    if (depth >= DEPTH_MAX)
        return NULL;
    while (p != NULL && count-- > 0)
        p = skip_value(p, end, depth + 1);
    return p;
}

/* Return the end of a value that read_value reads, or NULL: it is cut off, or a map, an extension
   or deeply nested, which msgspec reads. */
static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end, int depth)
{
    static const uint8_t sizes[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8}; /* from 0xca, float 32 */
    size_t left;
    uint8_t code;
    if (p >= end)
        return NULL;
    code = *p++;
    left = (size_t)(end - p);
    if (code < 0x80 || code >= 0xe0 || code == 0xc0 || code == 0xc2 || code == 0xc3)
        return p;
    if (code >= 0xa0 && code < 0xc0)
        return skip_text(p, code & 0x1f, end);
    if (code >= 0x90 && code < 0xa0)
        return skip_values(p, code & 0x0f, end, depth);
    if (code >= 0xca && code <= 0xd3)
        return skip_bytes(p, sizes[code - 0xca], end);
    switch (code) {
    case 0xc4: return left < 1 ? NULL : skip_bytes(p + 1, p[0], end);
    case 0xc5: return left < 2 ? NULL : skip_bytes(p + 2, big16(p), end);
    case 0xc6: return left < 4 ? NULL : skip_bytes(p + 4, big32(p), end);
    case 0xd9: return left < 1 ? NULL : skip_text(p + 1, p[0], end);
    case 0xda: return left < 2 ? NULL : skip_text(p + 2, big16(p), end);
    case 0xdb: return left < 4 ? NULL : skip_text(p + 4, big32(p), end);
    case 0xdc: return left < 2 ? NULL : skip_values(p + 2, big16(p), end, depth);
    case 0xdd: return left < 4 ? NULL : skip_values(p + 4, big32(p), end, depth);
    default: return NULL;
    }
}

/* Texts met before: a stream repeats its keys, and a known text needs no memory and no hash.
   Direct-mapped. Where most texts are new it rests for a while. */
#define TEXTS (1u << 15)
#define TEXT_LENGTH_MAX 64
#define CREDIT_FIRST 512
#define CREDIT_MAX 4096
#define REST 16384

static PyObject *texts[TEXTS];
static int text_credit = CREDIT_FIRST;
static int text_rest;

static uint32_t text_slot(const uint8_t *p, size_t size)
{
    uint64_t hash = size, word;
    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, p, size);
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint32_t)(hash >> 49);
}

static PyObject *new_text(const uint8_t *p, size_t size)
{
    PyObject *text = PyUnicode_New((Py_ssize_t)size, 127);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), p, size);
    return text;
}

static PyObject *read_text(const uint8_t *p, size_t size)
{
    PyObject *text, **place;
    if (size < 2 || size > TEXT_LENGTH_MAX || !is_ascii(p, size))
        return PyUnicode_DecodeUTF8((const char *)p, (Py_ssize_t)size, NULL);
    if (text_rest > 0) {
        text_rest--;
        return new_text(p, size);
    }
    place = &texts[text_slot(p, size)];
    text = *place;
    if (text != NULL && PyUnicode_GET_LENGTH(text) == (Py_ssize_t)size
        && memcmp(PyUnicode_1BYTE_DATA(text), p, size) == 0) {
        if (text_credit < CREDIT_MAX)
            text_credit++;
        return Py_NewRef(text);
    }
    if (--text_credit <= 0) {
        text_credit = CREDIT_FIRST;
        text_rest = REST;
    }
    text = new_text(p, size);
    if (text != NULL)
        Py_XSETREF(*place, Py_NewRef(text));
    return text;
}

static PyObject *read_value(const uint8_t **from);

static PyObject *read_list(const uint8_t **from, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    if (list == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        PyObject *value = read_value(from);
        if (value == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, value);
    }
    return list;
}

static PyObject *read_float(const uint8_t *p, int is_double)
{
    double wide;
    float narrow;
    uint64_t bits = is_double ? big64(p) : 0;
    uint32_t few_bits = is_double ? 0 : big32(p);
    memcpy(&wide, &bits, 8);
    memcpy(&narrow, &few_bits, 4);
    return PyFloat_FromDouble(is_double ? wide : (double)narrow);
}

/* Read a value that skip_value has passed, and move `*from` behind it. */
static PyObject *read_value(const uint8_t **from)
{
    const uint8_t *p = *from;
    uint8_t code = *p++;
    size_t size;
    if (code < 0x80 || code >= 0xe0) {
        *from = p;
        return PyLong_FromLong((int8_t)code);
    }
    if (code >= 0xa0 && code < 0xc0) {
        size = code & 0x1f;
        *from = p + size;
        return read_text(p, size);
    }
    if (code >= 0x90 && code < 0xa0) {
        *from = p;
        return read_list(from, code & 0x0f);
    }
    switch (code) {
    case 0xc0: *from = p; Py_RETURN_NONE;
    case 0xc2: *from = p; Py_RETURN_FALSE;
    case 0xc3: *from = p; Py_RETURN_TRUE;
    case 0xc4: size = p[0]; *from = p + 1 + size;
        return PyBytes_FromStringAndSize((const char *)p + 1, (Py_ssize_t)size);
    case 0xc5: size = big16(p); *from = p + 2 + size;
        return PyBytes_FromStringAndSize((const char *)p + 2, (Py_ssize_t)size);
    case 0xc6: size = big32(p); *from = p + 4 + size;
        return PyBytes_FromStringAndSize((const char *)p + 4, (Py_ssize_t)size);
    case 0xca: *from = p + 4; return read_float(p, 0);
    case 0xcb: *from = p + 8; return read_float(p, 1);
    case 0xcc: *from = p + 1; return PyLong_FromLong(p[0]);
    case 0xcd: *from = p + 2; return PyLong_FromLong(big16(p));
    case 0xce: *from = p + 4; return PyLong_FromUnsignedLong(big32(p));
    case 0xcf: *from = p + 8; return PyLong_FromUnsignedLongLong(big64(p));
    case 0xd0: *from = p + 1; return PyLong_FromLong((int8_t)p[0]);
    case 0xd1: *from = p + 2; return PyLong_FromLong((int16_t)big16(p));
    case 0xd2: *from = p + 4; return PyLong_FromLong((int32_t)big32(p));
    case 0xd3: *from = p + 8; return PyLong_FromLongLong((int64_t)big64(p));
    case 0xd9: size = p[0]; *from = p + 1 + size; return read_text(p + 1, size);
    case 0xda: size = big16(p); *from = p + 2 + size; return read_text(p + 2, size);
    case 0xdb: size = big32(p); *from = p + 4 + size; return read_text(p + 4, size);
    case 0xdc: *from = p + 2; return read_list(from, big16(p));
    case 0xdd: *from = p + 4; return read_list(from, big32(p));
    default:
        PyErr_SetString(PyExc_SystemError, "a MessagePack value was not checked");
        return NULL;
    }
}

static int is_list(const uint8_t *p)
{
    return (*p >= 0x90 && *p < 0xa0) || *p == 0xdc || *p == 0xdd;
}

/* Read the head of a list that skip_value has passed. */
static size_t read_head(const uint8_t **from)
{
    const uint8_t *p = *from;
    if (*p == 0xdc) {
        *from = p + 3;
        return big16(p + 1);
    }
    if (*p == 0xdd) {
        *from = p + 5;
        return big32(p + 1);
    }
    *from = p + 1;
    return *p & 0x0f;
}

/* ---- PackedRows: the rows of a batch, made into lists one by one as they are asked for ---- */

typedef struct {
    PyObject_HEAD
    PyObject *blob;
    size_t count;
} PackedRows;

static PyTypeObject *packed_rows_type, *row_tuples_type, *row_lists_type;

/* pack_rows' inverse for most rows: PackedRows, or None where msgspec must read or refuse. */
static PyObject *packed_rows(PyObject *Py_UNUSED(module), PyObject *blob)
{
    const uint8_t *p, *end;
    size_t count;
    PackedRows *self;
    if (!PyBytes_CheckExact(blob)) {
        PyErr_SetString(PyExc_TypeError, "packed_rows takes bytes");
        return NULL;
    }
    p = (const uint8_t *)PyBytes_AS_STRING(blob);
    end = p + PyBytes_GET_SIZE(blob);
    /* Heads are looked at here: a list's own count may lie outside. */
    if (p >= end || !is_list(p) || end - p < (*p == 0xdc ? 3 : *p == 0xdd ? 5 : 1))
        Py_RETURN_NONE;
    count = read_head(&p);
    for (size_t row = 0; row < count; row++) {
        if (p >= end || !is_list(p))
            Py_RETURN_NONE;
        p = skip_value(p, end, 1);
        if (p == NULL)
            Py_RETURN_NONE;
    }
    if (p != end)
        Py_RETURN_NONE;
    self = PyObject_New(PackedRows, packed_rows_type);
    if (self == NULL)
        return NULL;
    self->blob = Py_NewRef(blob);
    self->count = count;
    return (PyObject *)self;
}

static void packed_rows_dealloc(PackedRows *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(self->blob);
    PyObject_Free(self);
    Py_DECREF(type);
}

static Py_ssize_t packed_rows_length(PackedRows *self) { return (Py_ssize_t)self->count; }

/* An iterator over the rows: lists, or tuples of `source` when there is one. */
typedef struct {
    PyObject_HEAD
    PyObject *blob;
    PyObject *source;
    PyObject *in_hand;
    const uint8_t *at;
    size_t row;
    size_t count;
} RowIterator;

static PyObject *row_iterator(PackedRows *rows, PyTypeObject *type, PyObject *source)
{
    RowIterator *self = PyObject_GC_New(RowIterator, type);
    if (self == NULL)
        return NULL;
    self->blob = Py_NewRef(rows->blob);
    self->source = Py_XNewRef(source);
    self->in_hand = Py_NewRef(Py_None);
    self->at = (const uint8_t *)PyBytes_AS_STRING(rows->blob);
    self->count = read_head(&self->at);
    self->row = 0;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static PyObject *packed_rows_iter(PackedRows *self)
{
    return row_iterator(self, row_lists_type, NULL);
}

static PyObject *packed_rows_tuples(PackedRows *self, PyObject *source)
{
    return row_iterator(self, row_tuples_type, source);
}

static int row_iterator_traverse(RowIterator *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->source);
    Py_VISIT(self->in_hand);
    return 0;
}

static int row_iterator_clear(RowIterator *self)
{
    Py_CLEAR(self->source);
    Py_CLEAR(self->in_hand);
    return 0;
}

static void row_iterator_dealloc(RowIterator *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)row_iterator_clear(self);
    Py_DECREF(self->blob);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyObject *next_list(RowIterator *self)
{
    PyObject *values;
    if (self->row >= self->count)
        return NULL;
    values = read_list(&self->at, read_head(&self->at));
    if (values != NULL)
        self->row++;
    return values;
}

static PyObject *next_tuple(RowIterator *self)
{
    PyObject *values;
    if (self->source == NULL)
        return NULL;
    values = next_list(self);
    if (values == NULL)
        return NULL;
    Py_XSETREF(self->in_hand, values);
    return tuple_make(tuple_type, values, self->source, (Py_ssize_t)self->row - 1);
}

static PyObject *row_iterator_length_hint(RowIterator *self, PyObject *Py_UNUSED(none))
{
    return PyLong_FromSize_t(self->count - self->row);
}

static PyMethodDef row_iterator_methods[] = {
    {"__length_hint__", (PyCFunction)row_iterator_length_hint, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef row_tuples_members[] = {
    {"in_hand", T_OBJECT, offsetof(RowIterator, in_hand), READONLY, "Values of the newest tuple, or None."},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef packed_rows_methods[] = {
    {"tuples", (PyCFunction)packed_rows_tuples, METH_O, "Iterate over tuples of a source."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot packed_rows_slots[] = {
    {Py_tp_dealloc, packed_rows_dealloc},
    {Py_sq_length, packed_rows_length},
    {Py_tp_iter, packed_rows_iter},
    {Py_tp_methods, packed_rows_methods},
    {0, NULL},
};

static PyType_Spec packed_rows_spec = {
    "heronshim._native.PackedRows", sizeof(PackedRows), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, packed_rows_slots,
};

static PyType_Slot row_lists_slots[] = {
    {Py_tp_dealloc, row_iterator_dealloc},
    {Py_tp_traverse, row_iterator_traverse},
    {Py_tp_clear, row_iterator_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, next_list},
    {Py_tp_methods, row_iterator_methods},
    {0, NULL},
};

static PyType_Slot row_tuples_slots[] = {
    {Py_tp_dealloc, row_iterator_dealloc},
    {Py_tp_traverse, row_iterator_traverse},
    {Py_tp_clear, row_iterator_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, next_tuple},
    {Py_tp_methods, row_iterator_methods},
    {Py_tp_members, row_tuples_members},
    {0, NULL},
};

#define ITERATOR_FLAGS \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION)

static PyType_Spec row_lists_spec = {
    "heronshim._native.RowLists", sizeof(RowIterator), 0, ITERATOR_FLAGS, row_lists_slots,
};

static PyType_Spec row_tuples_spec = {
    "heronshim._native.RowTuples", sizeof(RowIterator), 0, ITERATOR_FLAGS, row_tuples_slots,
};

/* Call `execute` for at most `limit` tuples; `task.current` is each, unless task is None. */
static PyObject *execute_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *execute, *tuples, *task;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "OO!nO:execute_rows", &execute, row_tuples_type, &tuples, &limit,
                          &task))
        return NULL;
    while (limit-- > 0) {
        PyObject *result, *tuple = next_tuple((RowIterator *)tuples);
        if (tuple == NULL)
            break;
        if (task != Py_None && PyObject_SetAttr(task, str_current, tuple) < 0) {
            Py_DECREF(tuple);
            return NULL;
        }
        result = PyObject_CallOneArg(execute, tuple);
        Py_DECREF(tuple);
        if (result == NULL)
            return NULL;
        Py_DECREF(result);
    }
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

/* ---- EdgeSource: twin of heronshim.instance.outbox.edge_source ---- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *random_bytes;
    PyObject *pool;
    Py_ssize_t at;
} EdgeSource;

#define POOL_BYTES 8192

static PyTypeObject *edge_source_type;

/* Return the next edge, never 0; 0 with an exception set when there is none. */
static uint64_t draw(EdgeSource *self)
{
    uint64_t edge = 0;
    while (edge == 0) {
        if (self->pool == NULL || self->at + 8 > PyBytes_GET_SIZE(self->pool)) {
            PyObject *pool = PyObject_CallFunction(self->random_bytes, "i", POOL_BYTES);
            if (pool == NULL)
                return 0;
            if (!PyBytes_CheckExact(pool) || PyBytes_GET_SIZE(pool) < 8) {
                Py_DECREF(pool);
                PyErr_SetString(PyExc_TypeError, "random_bytes must return the bytes asked for");
                return 0;
            }
            Py_XSETREF(self->pool, pool);
            self->at = 0;
        }
        memcpy(&edge, PyBytes_AS_STRING(self->pool) + self->at, 8);
        self->at += 8;
    }
    return edge;
}

static PyObject *draw_object(EdgeSource *self)
{
    uint64_t edge = draw(self);
    return edge != 0 ? PyLong_FromUnsignedLongLong(edge) : NULL;
}

static PyObject *edge_source_call(PyObject *self, PyObject *const *Py_UNUSED(args), size_t nargsf,
                                  PyObject *names)
{
    if (PyVectorcall_NARGS(nargsf) != 0 || (names != NULL && PyTuple_GET_SIZE(names) != 0)) {
        PyErr_SetString(PyExc_TypeError, "draw() takes no arguments");
        return NULL;
    }
    return draw_object((EdgeSource *)self);
}

static PyObject *edge_source_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"random_bytes", NULL};
    PyObject *random_bytes;
    EdgeSource *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:EdgeSource", names, &random_bytes))
        return NULL;
    self = (EdgeSource *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = edge_source_call;
    self->random_bytes = Py_NewRef(random_bytes);
    return (PyObject *)self;
}

static int edge_source_traverse(EdgeSource *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->random_bytes);
    return 0;
}

static int edge_source_clear(EdgeSource *self)
{
    Py_CLEAR(self->random_bytes);
    return 0;
}

static void edge_source_dealloc(EdgeSource *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)edge_source_clear(self);
    Py_XDECREF(self->pool);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef edge_source_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(EdgeSource, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot edge_source_slots[] = {
    {Py_tp_new, edge_source_new},
    {Py_tp_dealloc, edge_source_dealloc},
    {Py_tp_traverse, edge_source_traverse},
    {Py_tp_clear, edge_source_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_members, edge_source_members},
    {0, NULL},
};

static PyType_Spec edge_source_spec = {
    "heronshim._native.EdgeSource", sizeof(EdgeSource), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL, edge_source_slots,
};

/* ---- Emits: a spout's and a bolt's on the default stream, one copy a tuple ---- */

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *reference;
    PyObject *memo;
    Py_ssize_t index;
    PyObject *task;
    EdgeSource *edges;
    int tracked;
    int auto_anchor;
} Emit;

/* Return the memo's entry for the values' key, borrowed; NULL without an exception for none. */
static PyObject *entry_of(Emit *self, PyObject *values)
{
    PyObject *key, *entry;
    if (PyList_CheckExact(values)) {
        if (self->index >= PyList_GET_SIZE(values))
            return NULL;
        key = PyList_GET_ITEM(values, self->index);
    } else if (PyTuple_CheckExact(values)) {
        if (self->index >= PyTuple_GET_SIZE(values))
            return NULL;
        key = PyTuple_GET_ITEM(values, self->index);
    } else {
        return NULL;
    }
    if (!PyUnicode_CheckExact(key))
        return NULL;
    entry = PyDict_GetItemWithError(self->memo, key);
    if (entry == NULL || !PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != 3
        || !PyList_CheckExact(PyTuple_GET_ITEM(entry, 0))
        || !PyList_CheckExact(PyTuple_GET_ITEM(entry, 1)))
        return NULL;
    return entry;
}

/* memo: key -> (rows, ids, tasks); without an index (-1), the one entry itself. */
static PyObject *spout_emit(PyObject *callable, PyObject *const *args, size_t nargsf,
                            PyObject *names)
{
    Emit *self = (Emit *)callable;
    PyObject *id = Py_None, *entry = NULL, *ids;
    Py_ssize_t named = names != NULL ? PyTuple_GET_SIZE(names) : 0;
    if (PyVectorcall_NARGS(nargsf) == 1
        && (named == 0 || (named == 1 && PyTuple_GET_ITEM(names, 0) == str_id))) {
        entry = self->index < 0 ? self->memo : entry_of(self, args[0]);
        if (entry == NULL && PyErr_Occurred())
            return NULL;
    }
    if (entry == NULL)
        return PyObject_Vectorcall(self->reference, args, nargsf, names);
    if (named == 1)
        id = args[1];
    ids = PyTuple_GET_ITEM(entry, 1);
    if (PyList_Append(PyTuple_GET_ITEM(entry, 0), args[0]) < 0 || PyList_Append(ids, id) < 0)
        return NULL;
    return Py_NewRef(PyTuple_GET_ITEM(entry, 2));
}

/* Append (values, root, edge) to a bolt's rows. */
static int append_pair(PyObject *rows, PyObject *values, PyObject *root, PyObject *edge)
{
    PyObject *row = PyTuple_Pack(3, values, root, edge);
    int failed = row == NULL || PyList_Append(rows, row) < 0;
    Py_XDECREF(row);
    return failed ? -1 : 0;
}

/* XOR a fresh edge into the anchor's children; return the edge. */
static PyObject *add_child(Emit *self, TupleObject *anchor, Py_ssize_t rows)
{
    PyObject *children, *mixed, *edge = draw_object(self->edges);
    if (edge == NULL)
        return NULL;
    children = PyObject_GetAttr(anchor->source, str_children);
    if (children == Py_None) {
        Py_SETREF(children, PyList_New(rows));
        for (Py_ssize_t row = 0; children != NULL && row < rows; row++)
            PyList_SET_ITEM(children, row, Py_NewRef(zero));
        if (children != NULL && PyObject_SetAttr(anchor->source, str_children, children) < 0)
            Py_CLEAR(children);
    }
    if (children == NULL)
        goto failed;
    if (!PyList_CheckExact(children) || anchor->row >= PyList_GET_SIZE(children)) {
        PyErr_SetString(PyExc_SystemError, "children of a batch do not fit its rows");
        goto failed;
    }
    mixed = PyNumber_Xor(PyList_GET_ITEM(children, anchor->row), edge);
    if (mixed == NULL || PyList_SetItem(children, anchor->row, mixed) < 0)
        goto failed;
    Py_DECREF(children);
    return edge;
failed:
    Py_XDECREF(children);
    Py_DECREF(edge);
    return NULL;
}

/* Append a tracked row anchored to the tuple in hand. 0: done, 1: for the reference, -1: failed. */
static int append_anchored(Emit *self, PyObject *rows, PyObject *values, TupleObject *anchor)
{
    PyObject *root, *edge, *roots = PyObject_GetAttr(anchor->source, str_roots);
    int result = 1;
    if (roots == NULL)
        return -1;
    if (roots == Py_None) {
        result = append_pair(rows, values, zero, zero);
    } else if (PyList_CheckExact(roots) && anchor->row >= 0
               && anchor->row < PyList_GET_SIZE(roots)) {
        root = PyList_GET_ITEM(roots, anchor->row);
        if (PyLong_CheckExact(root) && PyObject_IsTrue(root)) {
            Py_INCREF(root);
            edge = add_child(self, anchor, PyList_GET_SIZE(roots));
            result = edge != NULL ? append_pair(rows, values, root, edge) : -1;
            Py_XDECREF(edge);
            Py_DECREF(root);
        }
    }
    Py_DECREF(roots);
    return result;
}

/* memo: key -> (rows, ids, tasks), of which a bolt has no ids. */
static PyObject *bolt_emit(PyObject *callable, PyObject *const *args, size_t nargsf,
                           PyObject *names)
{
    Emit *self = (Emit *)callable;
    PyObject *entry = NULL, *anchor, *rows, *tasks;
    int result;
    if (PyVectorcall_NARGS(nargsf) == 1 && (names == NULL || PyTuple_GET_SIZE(names) == 0)) {
        entry = entry_of(self, args[0]);
        if (entry == NULL && PyErr_Occurred())
            return NULL;
    }
    if (entry == NULL)
        return PyObject_Vectorcall(self->reference, args, nargsf, names);
    rows = PyTuple_GET_ITEM(entry, 0);
    tasks = PyTuple_GET_ITEM(entry, 2);
    if (!self->tracked)
        return PyList_Append(rows, args[0]) < 0 ? NULL : Py_NewRef(tasks);
    anchor = PyObject_GetAttr(self->task, str_current);
    if (anchor == NULL)
        return NULL;
    /* Drawing edges may run Python code, which may empty the memo. */
    Py_INCREF(rows);
    Py_INCREF(tasks);
    if (!self->auto_anchor || anchor == Py_None)
        result = append_pair(rows, args[0], zero, zero);
    else if (Py_IS_TYPE(anchor, tuple_type))
        result = append_anchored(self, rows, args[0], (TupleObject *)anchor);
    else
        result = 1;
    Py_DECREF(anchor);
    Py_DECREF(rows);
    if (result == 0)
        return tasks;
    Py_DECREF(tasks);
    return result < 0 ? NULL : PyObject_Vectorcall(self->reference, args, nargsf, names);
}

static PyObject *spout_emit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"reference", "memo", "index", NULL};
    PyObject *reference, *memo;
    Py_ssize_t index;
    Emit *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOn:SpoutEmit", names, &reference, &memo,
                                     &index))
        return NULL;
    if (index < 0 ? !PyTuple_CheckExact(memo) || PyTuple_GET_SIZE(memo) != 3
                        || !PyList_CheckExact(PyTuple_GET_ITEM(memo, 0))
                        || !PyList_CheckExact(PyTuple_GET_ITEM(memo, 1))
                  : !PyDict_CheckExact(memo)) {
        PyErr_SetString(PyExc_TypeError, "memo is a dict, or (rows, ids, tasks) without an index");
        return NULL;
    }
    self = (Emit *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = spout_emit;
    self->reference = Py_NewRef(reference);
    self->memo = Py_NewRef(memo);
    self->index = index;
    return (PyObject *)self;
}

static PyObject *bolt_emit_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"reference", "memo", "index", "task", "edges", "tracked",
                            "auto_anchor", NULL};
    PyObject *reference, *memo, *task, *edges;
    Py_ssize_t index;
    int tracked, auto_anchor;
    Emit *self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!nOO!pp:BoltEmit", names, &reference,
                                     &PyDict_Type, &memo, &index, &task, edge_source_type, &edges,
                                     &tracked, &auto_anchor))
        return NULL;
    if (index < 0) {
        PyErr_SetString(PyExc_ValueError, "index is from 0");
        return NULL;
    }
    self = (Emit *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->vectorcall = bolt_emit;
    self->reference = Py_NewRef(reference);
    self->memo = Py_NewRef(memo);
    self->index = index;
    self->task = Py_NewRef(task);
    self->edges = (EdgeSource *)Py_NewRef(edges);
    self->tracked = tracked;
    self->auto_anchor = auto_anchor;
    return (PyObject *)self;
}

static int emit_traverse(Emit *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->reference);
    Py_VISIT(self->memo);
    Py_VISIT(self->task);
    Py_VISIT(self->edges);
    return 0;
}

static int emit_clear(Emit *self)
{
    Py_CLEAR(self->reference);
    Py_CLEAR(self->memo);
    Py_CLEAR(self->task);
    Py_CLEAR(self->edges);
    return 0;
}

static void emit_dealloc(Emit *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)emit_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef emit_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Emit, vectorcall), READONLY, NULL},
    {"__wrapped__", T_OBJECT, offsetof(Emit, reference), READONLY, "The twin in Python."},
    {NULL, 0, 0, 0, NULL},
};

#define EMIT_SLOTS(make) \
    { \
        {Py_tp_new, make}, {Py_tp_dealloc, emit_dealloc}, {Py_tp_traverse, emit_traverse}, \
            {Py_tp_clear, emit_clear}, {Py_tp_call, PyVectorcall_Call}, \
            {Py_tp_members, emit_members}, {0, NULL}, \
    }

static PyType_Slot spout_emit_slots[] = EMIT_SLOTS(spout_emit_new);
static PyType_Slot bolt_emit_slots[] = EMIT_SLOTS(bolt_emit_new);

#define EMIT_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL)

static PyType_Spec spout_emit_spec = {
    "heronshim._native.SpoutEmit", sizeof(Emit), 0, EMIT_FLAGS, spout_emit_slots,
};

static PyType_Spec bolt_emit_spec = {
    "heronshim._native.BoltEmit", sizeof(Emit), 0, EMIT_FLAGS, bolt_emit_slots,
};

/* ---- what a flush asks of its lists ---- */

static PyObject *none_count(PyObject *Py_UNUSED(module), PyObject *list)
{
    Py_ssize_t found = 0;
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "none_count takes a list");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++)
        found += PyList_GET_ITEM(list, i) == Py_None;
    return PyLong_FromSsize_t(found);
}

static PyObject *plain_rows(PyObject *Py_UNUSED(module), PyObject *rows)
{
    if (!PyList_Check(rows)) {
        PyErr_SetString(PyExc_TypeError, "plain_rows takes a list");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        PyObject *row = PyList_GET_ITEM(rows, i);
        if (!PyList_CheckExact(row) && !PyTuple_CheckExact(row))
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

/* ---- module ---- */

static PyMethodDef functions[] = {
    {"packed_rows", packed_rows, METH_O,
     "Return the rows of a MessagePack blob, or None where msgspec must read or refuse it."},
    {"execute_rows", execute_rows, METH_VARARGS,
     "execute_rows(execute, tuples, limit, task): call execute for at most `limit` tuples."},
    {"none_count", none_count, METH_O, "Return how many items of a list are None itself."},
    {"plain_rows", plain_rows, METH_O, "Return whether all items of a list are lists or tuples."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "heronshim._native", "The per-tuple path in C.", -1, functions,
    NULL, NULL, NULL, NULL,
};

/* Make a type and give the module a name for it, unless `hidden`. */
static PyTypeObject *add_type(PyObject *module, PyType_Spec *spec, int hidden)
{
    PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(spec);
    if (type != NULL && !hidden && PyModule_AddType(module, type) < 0)
        Py_CLEAR(type);
    return type;
}

PyMODINIT_FUNC PyInit__native(void)
{
    PyTypeObject *spout, *bolt;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    zero = PyLong_FromLong(0);
    str_id = PyUnicode_InternFromString("id");
    str_current = PyUnicode_InternFromString("current");
    str_roots = PyUnicode_InternFromString("roots");
    str_children = PyUnicode_InternFromString("children");
    tuple_type = add_type(module, &tuple_spec, 0);
    packed_rows_type = add_type(module, &packed_rows_spec, 0);
    row_lists_type = add_type(module, &row_lists_spec, 1);
    row_tuples_type = add_type(module, &row_tuples_spec, 0);
    edge_source_type = add_type(module, &edge_source_spec, 0);
    spout = add_type(module, &spout_emit_spec, 0);
    bolt = add_type(module, &bolt_emit_spec, 0);
    if (zero == NULL || str_id == NULL || str_current == NULL || str_roots == NULL
        || str_children == NULL || tuple_type == NULL || packed_rows_type == NULL
        || row_lists_type == NULL || row_tuples_type == NULL || edge_source_type == NULL
        || spout == NULL || bolt == NULL
        || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0)
        Py_CLEAR(module);
    Py_XDECREF(spout);
    Py_XDECREF(bolt);
    return module;
}
