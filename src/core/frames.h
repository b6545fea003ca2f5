/* What a frame holds: the variables and the temporary values of a running function.
 *
 * A frame object of a running function does not visit what the function holds, and asking it for
 * its variables in Python leaves copies behind before 3.13. So this reads the interpreter's own
 * record of the call, whose layout is private: hence the versions, on which
 * tests/tracking/test_heap_core.py compares it with what Python code sees. */

#ifndef WEAKLY_FRAMES_H
#define WEAKLY_FRAMES_H

#include "nodes.h"

#define FRAMES_KNOWN (PY_VERSION_HEX < 0x03100000)
#define FRAME_VALUES_TAGGED (PY_VERSION_HEX >= 0x030E0000)

typedef uintptr_t FrameValue;   /* an address; if tagged, the lowest bits say what it is */

typedef struct CallRecord {
#if PY_VERSION_HEX < 0x030C0000
    FrameValue function;
    PyObject *globals, *builtins, *locals;
    FrameValue code;
    PyObject *frame;
    struct CallRecord *previous;
    void *instruction;
    int stack_top;
    bool is_entry;
    char owner;
#else
    FrameValue code;
    struct CallRecord *previous;
    FrameValue function;
    PyObject *globals, *builtins, *locals;
    PyObject *frame;
    void *instruction;
#  if FRAME_VALUES_TAGGED
    FrameValue *stack_pointer;
#    ifdef Py_GIL_DISABLED
    int32_t bytecode;
#    endif
#  else
    int stack_top;
#  endif
    uint16_t return_offset;
    char owner;
#  if FRAME_VALUES_TAGGED
    uint8_t visited;
#  endif
#endif
    FrameValue values[1];       /* the variables, then the stack */
} CallRecord;

enum { OWNED_BY_THREAD, OWNED_BY_GENERATOR, OWNED_BY_FRAME_OBJECT };

/* The record of a frame object, NULL if it cannot be read. */
static inline CallRecord *
frame_record(PyObject *frame)
{
#if FRAMES_KNOWN
    struct {
        PyObject_HEAD
        PyObject *back;
        CallRecord *record;
    } *head = (void *)frame;
    return head->record;
#else
    (void)frame;
    return NULL;
#endif
}

/* The record of a generator, coroutine or asynchronous generator, which has it in itself. Once the
 * frame is cleared, the values are left over and may be gone. */
static inline CallRecord *
generator_record(PyObject *generator)
{
    return (CallRecord *)((char *)generator + Py_TYPE(generator)->tp_basicsize
                          - offsetof(CallRecord, values));
}

/* The object a value is, NULL if it is none; borrowed. */
static inline PyObject *
frame_value(FrameValue value)
{
    /* A number that is no object, or an error's mark, has the second bit. */
    return FRAME_VALUES_TAGGED && value & 2 ? NULL : (PyObject *)(value & ~(uintptr_t)1);
}

/* Does the value own a reference to its object? Where it does not, another does. */
static inline bool
frame_value_is_counted(FrameValue value)
{
    return (value & 1) == 0;
}

static inline PyCodeObject *
frame_code(CallRecord *record)
{
    return (PyCodeObject *)frame_value(record->code);
}

/* How many of the values are set or may be: the variables, and of the stack what is known. */
static inline Py_ssize_t
frame_value_count(CallRecord *record)
{
    PyCodeObject *code = frame_code(record);
    Py_ssize_t count = code == NULL ? 0 : code->co_nlocalsplus;
#if FRAME_VALUES_TAGGED
    Py_ssize_t top = record->stack_pointer == NULL ? 0 : record->stack_pointer - record->values;
#else
    Py_ssize_t top = record->stack_top;
#endif
    return code != NULL && top > count && top <= count + code->co_stacksize ? top : count;
}

/* Has the function ended? Then the frame object visits all that is left. */
static inline bool
frame_has_ended(CallRecord *record)
{
    return record->owner == OWNED_BY_FRAME_OBJECT;
}

typedef struct {
    PyObject *frame;
    PyCodeObject *code;         /* borrowed from the frame */
    PyObject **values;          /* owned, NULL where a variable is not set; NULL without memory */
} FrameVariables;

/* With nothing else running. */
static void
frame_copy_variables(void *arg)
{
    FrameVariables *variables = arg;
    CallRecord *record = frame_record(variables->frame);
    if (record == NULL) {
        return;
    }
    variables->code = frame_code(record);
    int count = variables->code->co_nlocalsplus;
    variables->values = PyMem_RawMalloc(((size_t)count + 1) * sizeof(PyObject *));
    for (int i = 0; i < count && variables->values != NULL; i++) {
        variables->values[i] = Py_XNewRef(frame_value(record->values[i]));
    }
}

/* frame_variables(frame): a list of the variables that are set, each with its name. */
static PyObject *
frame_variables(PyObject *Py_UNUSED(module), PyObject *frame)
{
    if (!PyFrame_Check(frame)) {
        return PyErr_Format(PyExc_TypeError, "frame_variables() takes a frame, not '%.200s'",
                            Py_TYPE(frame)->tp_name);
    }
    FrameVariables variables = {.frame = frame};
    while_nothing_runs(frame_copy_variables, &variables);
    if (variables.code != NULL && variables.values == NULL) {
        return PyErr_NoMemory();
    }
    int count = variables.code == NULL ? 0 : variables.code->co_nlocalsplus;
    PyObject *list = PyList_New(0);
    for (int i = 0; i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(variables.code->co_localsplusnames, i);
        PyObject *value = variables.values[i];
        PyObject *pair = value == NULL || list == NULL ? NULL : PyTuple_Pack(2, name, value);
        if (value != NULL && list != NULL && (pair == NULL || PyList_Append(list, pair) < 0)) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
        Py_XDECREF(value);
    }
    PyMem_RawFree(variables.values);
    return list;
}

typedef struct {
    PyObject *frames;           /* a list */
    PyObject *threads;          /* a list: of which thread each is */
} RunningFrames;

/* Says whether it could be done; an exception is set if not. */
static bool
running_frames_append(RunningFrames *running, PyThreadState *thread, PyFrameObject *frame)
{
    PyObject *number = PyLong_FromUnsignedLong(thread->thread_id);
    bool appended = number != NULL && PyList_Append(running->threads, number) == 0
                    && PyList_Append(running->frames, (PyObject *)frame) == 0;
    Py_XDECREF(number);
    return appended;
}

/* With nothing else running. A thread that ran would take away the record that its frame object
 * is asked for the next in. */
static void
running_frames_collect(void *arg)
{
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (bool going = true; thread != NULL && going; thread = PyThreadState_Next(thread)) {
        PyFrameObject *frame = PyThreadState_GetFrame(thread);
        while (frame != NULL && going) {
            going = running_frames_append(arg, thread, frame);
            Py_SETREF(frame, PyFrame_GetBack(frame));
        }
        Py_XDECREF((PyObject *)frame);
    }
}

/* running_frames(): see the Python twin, _heap.py. Of this interpreter only. */
static PyObject *
running_frames(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(arg))
{
    RunningFrames running = {PyList_New(0), PyList_New(0)};
    if (running.frames != NULL && running.threads != NULL) {
        int was_enabled = collector_pause();  /* a collection could end threads */
        while_nothing_runs(running_frames_collect, &running);
        collector_resume(was_enabled);
    }
    PyObject *result = PyErr_Occurred() ? NULL : PyTuple_Pack(2, running.frames, running.threads);
    Py_XDECREF(running.frames);
    Py_XDECREF(running.threads);
    return result;
}

#endif
