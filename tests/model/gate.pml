/* A thread records while its collector is disabled and enabled again, or, with TENANTS, dies and leaves its place to the next one.
 *
 * Checked in every order of steps: what was recorded while the collector was enabled is counted, what was recorded while it was disabled
 * is not, and no record that begins while it is enabled is refused. The next collector counts what is recorded through its own handles, all
 * of it, and nothing that came through a handle of the one before.
 *
 * RECORDS: calls of record(), refused ones included. The others as in capture.pml. */

#define LAST_PHASE (TENANTS -> 2 : 4)

/* A handle of the second collector has the higher numbers. */
#define COLLECTOR_OF(record) ((record) / RECORDS)
#define SERIES_OF(record) ((record) % RECORDS & 1)
#define IS_FOREIGN(record, range) (COLLECTOR_OF(record) != (range) && BUG != BUG_STALE_ID_FOLDED)

/* `phase` counts the calls that begin and end: 0 enabled, 1 in set_enabled(false), 2 disabled, 3 in set_enabled(true), 4 enabled; with
 * TENANTS 0 the first collector, 1 neither, 2 the second. `began`: the phase in which a record() began. */
byte phase;
short counted, uncounted; /* what must be, what must not be */
#define IS_ENABLED (phase == 0 || phase == LAST_PHASE)
#define RECORDED(id) \
  recorded = recorded | BIT(id); \
  if \
  :: began == phase && IS_ENABLED && COLLECTOR_OF(id) == (TENANTS && phase == 2) -> counted = counted | BIT(id) \
  :: began == phase && !TENANTS && phase == 2 -> uncounted = uncounted | BIT(id) \
  :: else \
  fi
#define OWED counted
#define CHECK_TAKEN(mask) assert(((mask) & (is_discarding -> counted : uncounted)) == 0)
#define CHECK_FOLDED(mask) assert(is_discarding || base == 0 || ((mask) & (BIT(RECORDS) - 1)) == 0)
#include "thread_block.pml"
#include "drain.pml"

bool is_open = true; /* Place::gate_ */

/* Place::park(); `is_done`: it stays parked. */
inline park() {
  STEP(cursor[b] = PARKED);
#if BUG == BUG_PARKED_BLINDLY
  is_done = true;
#else
  STEP( /* [parked:release], [gate:acquire] */
    is_done = !is_open;
    assert(!is_done || !(began == phase && IS_ENABLED)));
  if
  :: !is_done ->
     STEP(
       if
       :: cursor[b] == PARKED -> cursor[b] = 0
       :: else
       fi)
  :: else
  fi
#endif
}

proctype Thread(byte me) {
  OWNER_LOCALS;
  byte n, began;

  do
  :: n < RECORDS ->
     STEP(began = phase; id = n);
     if
     :: TENANTS && began == 2 -> id = RECORDS + n
     :: true
     fi;
     old = id;
     do /* Place::append() */
     :: !IS_SLOW(cursor[b]) -> id = old; capture(); break
     :: cursor[b] == PARKED -> STEP(assert(cursor[b] != PARKED || !(began == phase && IS_ENABLED))); break
     :: IS_SLOW(cursor[b]) && cursor[b] != PARKED ->
        STEP(is_done = is_open); /* [gate:acquire] */
        if
        :: is_done -> make_room()
        :: else ->
           park();
           if
           :: is_done -> break
           :: else
           fi
        fi
     od;
     old = 0; id = 0; is_done = false;
     n++
  :: else -> break
  od;
stopped:
  skip
}

/* Place::leave(): ThreadBlock::release_sets() */
inline release_sets() {
  STEP(w = word[b]);
  do
  :: STATE(w) == OPEN ->
     STEP(CLEAR(2 * b + 1 - SET(w)); stolen_is_uncleared[b] = false);
     k = SET(w);
     STEP(EXCHANGE(WORD(EPOCH(w), TAKEN(w), OPEN, 1 - SET(w), 0)));
     if
     :: is_done -> STEP(CLEAR(2 * b + k)); break
     :: else
     fi
  :: else -> break
  od;
  k = 0; is_done = false
}

/* The collector: its looks and calls of set_enabled(), or its destructor and the constructor of the next. */
proctype Drainer() {
  DRAINER_LOCALS;
  byte me = THREADS, turn;

  do
  :: turn < 3 ->
     if
     :: !TENANTS && turn < 2 -> STEP(phase++) /* set_enabled() begins */
     :: else
     fi;
     look(TENANTS && turn == 1);
     if
     :: turn == 0 ->
        is_discarding = true;
        STEP(is_open = false; phase++); /* close_gate() */
#if TENANTS
        STEP(counted = 0);
        release_sets();
        c = 0;
        d_step {
          do
          :: c < CHUNKS -> is_left[c] = false; c++
          :: else -> break
          od;
          c = NONE
        };
        STEP(base = 1) /* Place::take(): SeriesRange::set() */
#endif
     :: turn == 1 ->
        is_discarding = false;
        STEP(is_open = true); /* open_gate() */
        STEP(
          if
          :: cursor[0] == PARKED -> cursor[0] = 0 /* unpark_threads() */
          :: else
          fi;
          phase++)
     :: else
     fi;
     turn++
  :: else -> break
  od;
stopped:
  skip
}

init {
  byte i;
  atomic {
    do
    :: i < POOL -> free!i; i++
    :: else -> break
    od;
    chunk_[0] = POOL;
    chunk[POOL].epoch = FIRST_EPOCH;
    cursor[0] = CURSOR(POOL, 0);
    listed = BIT(0);
    run Thread(0);
    run Drainer()
  }
}
