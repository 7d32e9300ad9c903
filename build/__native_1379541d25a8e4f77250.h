#ifndef MYPYC_NATIVE_1379541d25a8e4f77250_H
#define MYPYC_NATIVE_1379541d25a8e4f77250_H
#include <Python.h>
#include <CPy.h>
#ifndef MYPYC_DECLARED_tuple_T4OOOO
#define MYPYC_DECLARED_tuple_T4OOOO
typedef struct tuple_T4OOOO {
    PyObject *f0;
    PyObject *f1;
    PyObject *f2;
    PyObject *f3;
} tuple_T4OOOO;
#endif

#ifndef MYPYC_DECLARED_tuple_T2OO
#define MYPYC_DECLARED_tuple_T2OO
typedef struct tuple_T2OO {
    PyObject *f0;
    PyObject *f1;
} tuple_T2OO;
#endif

#ifndef MYPYC_DECLARED_tuple_T3OOO
#define MYPYC_DECLARED_tuple_T3OOO
typedef struct tuple_T3OOO {
    PyObject *f0;
    PyObject *f1;
    PyObject *f2;
} tuple_T3OOO;
#endif

#ifndef MYPYC_DECLARED_tuple_T4CIOO
#define MYPYC_DECLARED_tuple_T4CIOO
typedef struct tuple_T4CIOO {
    char f0;
    CPyTagged f1;
    PyObject *f2;
    PyObject *f3;
} tuple_T4CIOO;
#endif

#ifndef MYPYC_DECLARED_tuple_T2OI
#define MYPYC_DECLARED_tuple_T2OI
typedef struct tuple_T2OI {
    PyObject *f0;
    CPyTagged f1;
} tuple_T2OI;
#endif

#ifndef MYPYC_DECLARED_tuple_T3OOI
#define MYPYC_DECLARED_tuple_T3OOI
typedef struct tuple_T3OOI {
    PyObject *f0;
    PyObject *f1;
    CPyTagged f2;
} tuple_T3OOI;
#endif

#ifndef MYPYC_DECLARED_tuple_T6OOOOOO
#define MYPYC_DECLARED_tuple_T6OOOOOO
typedef struct tuple_T6OOOOOO {
    PyObject *f0;
    PyObject *f1;
    PyObject *f2;
    PyObject *f3;
    PyObject *f4;
    PyObject *f5;
} tuple_T6OOOOOO;
#endif

#ifndef MYPYC_DECLARED_tuple_T0
#define MYPYC_DECLARED_tuple_T0
typedef struct tuple_T0 {
    int empty_struct_error_flag;
} tuple_T0;
#endif

#ifndef MYPYC_DECLARED_tuple_T3CIO
#define MYPYC_DECLARED_tuple_T3CIO
typedef struct tuple_T3CIO {
    char f0;
    CPyTagged f1;
    PyObject *f2;
} tuple_T3CIO;
#endif

#ifndef MYPYC_DECLARED_tuple_T2II
#define MYPYC_DECLARED_tuple_T2II
typedef struct tuple_T2II {
    CPyTagged f0;
    CPyTagged f1;
} tuple_T2II;
#endif

#ifndef MYPYC_DECLARED_tuple_T2OC
#define MYPYC_DECLARED_tuple_T2OC
typedef struct tuple_T2OC {
    PyObject *f0;
    char f1;
} tuple_T2OC;
#endif

#ifndef MYPYC_DECLARED_tuple_T2IO
#define MYPYC_DECLARED_tuple_T2IO
typedef struct tuple_T2IO {
    CPyTagged f0;
    PyObject *f1;
} tuple_T2IO;
#endif

#ifndef MYPYC_DECLARED_tuple_T1T2OO
#define MYPYC_DECLARED_tuple_T1T2OO
typedef struct tuple_T1T2OO {
    tuple_T2OO f0;
} tuple_T1T2OO;
#endif

#ifndef MYPYC_DECLARED_tuple_T3COO
#define MYPYC_DECLARED_tuple_T3COO
typedef struct tuple_T3COO {
    char f0;
    PyObject *f1;
    PyObject *f2;
} tuple_T3COO;
#endif

#ifndef MYPYC_DECLARED_tuple_T4IIII
#define MYPYC_DECLARED_tuple_T4IIII
typedef struct tuple_T4IIII {
    CPyTagged f0;
    CPyTagged f1;
    CPyTagged f2;
    CPyTagged f3;
} tuple_T4IIII;
#endif

#ifndef MYPYC_DECLARED_tuple_T1I
#define MYPYC_DECLARED_tuple_T1I
typedef struct tuple_T1I {
    CPyTagged f0;
} tuple_T1I;
#endif

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_outcome;
    PyObject *_units;
} z0___domain___check___CheckedObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_outcome;
    PyObject *_rule;
    PyObject *_currency;
    PyObject *_detail;
} z0___domain___draft___RefusalObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_units;
    CPyTagged _now_ms;
    PyObject *_policy;
    PyObject *_reference;
    PyObject *_refusal;
} z0___domain___draft___CaseObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_type;
    PyObject *_subtype;
    PyObject *_amount;
    PyObject *_currency;
    PyObject *_held;
    PyObject *_available;
    PyObject *_reservation_id;
    PyObject *_expires_at;
    PyObject *_data;
    PyObject *_counted;
    PyObject *_extras;
} z0___domain___draft___DraftObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged _units;
    PyObject *_currency;
    PyObject *_counts;
    PyObject *_price;
    char _is_held;
} z0___domain___eligibility___SpendObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    uint32_t mypyc_running;
    PyObject *___mypyc_generator_frame_attribute__policy;
    PyObject *___mypyc_generator_frame_attribute__spend;
    int32_t ___mypyc_next_label__;
    int64_t ___mypyc_temp__3_z0___domain___eligibility____limits_gen_0;
    PyObject *___mypyc_temp__2_z0___domain___eligibility____limits_gen_0;
    int64_t ___mypyc_temp__2_z0___domain___eligibility____limits_gen_1;
} z0___domain___eligibility____limits_genObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *___mypyc_self__;
    PyObject *_shares;
} z0___domain___money___split_largest_remainder_envObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    vectorcallfunc vectorcall;
    PyObject *___mypyc_env__;
} z0___domain___money_____mypyc_lambda__0_split_largest_remainder_objObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_ledger_id;
    PyObject *_tenant_id;
    CPyTagged _epoch;
    CPyTagged _offset;
    CPyTagged _recorded_at;
} z0___domain___record___PlaceObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_command;
    PyObject *_digest;
    PyObject *_outcome;
    PyObject *_cause;
    PyObject *_configs;
    char _has_links;
} z0___domain___record___AskedObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_currency;
    CPyTagged _amount;
    CPyTagged _expires_at;
    CPyTagged _created_at;
    PyObject *_workflow_id;
    PyObject *_counted;
    char _is_transfer;
} z0___domain___state___HoldObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged _deposited;
    CPyTagged _credits;
    CPyTagged _spent;
    CPyTagged _transferred_in;
    CPyTagged _transferred_out;
    CPyTagged _reserved;
} z0___domain___state___BudgetObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_currency;
    CPyTagged _amount;
    CPyTagged _incurred_at;
    char _is_pending;
} z0___domain___state___ChargeObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged _start;
    CPyTagged _count;
    CPyTagged _units;
} z0___domain___state___CounterObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_entity;
    CPyTagged _seq;
    PyObject *_head_hash;
    CPyTagged _recorded_at;
    PyObject *_config;
    PyObject *_budgets;
    PyObject *_holds;
    PyObject *_expiries;
    PyObject *_charges;
    PyObject *_ended;
    PyObject *_caps;
    PyObject *_access;
} z0___domain___state___LedgerStateObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_outcome;
    PyObject *_entry;
    char _repeated;
    PyObject *_command_id;
    PyObject *_ledger_id;
    PyObject *_state;
    PyObject *_eligibility;
    PyObject *_forward_to;
    PyObject *_detail;
} z0___log___deciding____ResultObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged __partition;
    CPyTagged __epoch;
    PyObject *__working;
    PyObject *__index;
    PyObject *__policies;
    PyObject *__partition_of;
    PyObject *__pending;
    PyObject *__pending_references;
    PyObject *__first;
    PyObject *__references;
    PyObject *_carried;
    CPyTagged _applied;
    CPyTagged _batch_time_ms;
} z0___log___deciding___DeciderObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
} z0___log___inbox___KafkaRecordObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged _follows;
    PyObject *_records;
    CPyTagged _size;
    PyObject *_acknowledge;
} z0___log___inbox___CommandBatchObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_commands;
    PyObject *_answers;
    CPyTagged _missing;
    PyObject *_done;
} z0___log___inbox___DirectGroupObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_group;
    CPyTagged _place;
} z0___log___inbox___DirectObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_command;
    PyObject *_completes;
} z0___log___inbox___KafkaObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged __max;
    CPyTagged __bytes_max;
    CPyTagged __direct_bytes;
    CPyTagged __kafka_bytes;
    PyObject *__direct;
    CPyTagged __direct_index;
    CPyTagged __direct_waiting;
    PyObject *__kafka;
    CPyTagged __kafka_index;
    CPyTagged _kafka_waiting;
    PyObject *__last_read;
    PyObject *__finished;
    CPyTagged __rounds_alone;
} z0___log___inbox___InboxObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
} z0___log___index___CommandIndexObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *__entries;
    PyObject *__references;
    PyObject *__position;
} z0___log___index___MemoryIndexObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *__db;
    PyObject *__position;
} z0___log___index___RocksIndexObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged _base_offset;
    PyObject *_records;
    CPyTagged _bytes;
    PyObject *_answers;
    PyObject *_entries;
    PyObject *_references;
    PyObject *_outbox;
    PyObject *_touched;
    PyObject *_acknowledge;
} z0___log___round___RoundObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    PyObject *_item;
    PyObject *_kafka;
    PyObject *_command;
    PyObject *_outcome;
    PyObject *_units;
    PyObject *_canonical;
    PyObject *_digest;
    PyObject *_key;
    PyObject *_reference;
} z0___log___round___PreparedObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    CPyTagged __partition;
    PyObject *__snapshots;
    CPyTagged __max;
    PyObject *__live;
    PyObject *__as_of;
    PyObject *__due;
    PyObject *__scheduled;
    CPyTagged __due_max;
    PyObject *_dirty;
    PyObject *_saving;
} z0___log___working_set___WorkingSetObject;

typedef struct {
    PyObject_HEAD
    CPyVTableItem *vtable;
    uint32_t mypyc_running;
    PyObject *___mypyc_generator_frame_attribute__self;
    CPyTagged ___mypyc_generator_frame_attribute__now_ms;
    CPyTagged ___mypyc_generator_frame_attribute__limit;
    int32_t ___mypyc_next_label__;
} z0___log___working_set___take_due_WorkingSet_genObject;

#endif
