/* Threads record, end and leave their record to later ones; a drainer looks at them meanwhile. For one collector that stays open.
 *
 * Checked in every order of steps: a look has all that was recorded before it (flush() is read-your-writes), each record is taken once and
 * no other is, the ledger's numbers stand between what was and what is recorded, no chunk goes astray. With MAY_STOP each process may stop
 * for good at each of its steps, and the others must still come to their end; that they do so in a bounded number of steps is shown by the
 * state graph having no cycle.
 *
 * THREADS, of which the first makes RECORDS, the next one less; LOOKS of the drainer, POOL spare chunks; TRY_MAY_FAIL: a try on a queue may fail without cause;
 * IS_LOSSY: OverflowPolicy::drop; MAY_END_EARLY: a thread may end after any record. */

#define SERIES_OF(record) (178 >> ((record) % RECORDS) & 1) /* so that folds differ in the cells they touch */
#define IS_FOREIGN(record, range) 0
#define RECORDED(id) recorded = recorded | BIT(id)
#define OWED recorded
#define CHECK_TAKEN(mask) skip
#define CHECK_FOLDED(mask) skip
#include "thread_block.pml"
#include "drain.pml"

/* ThreadRecord, process-wide list of them, Place::blocks_ */
bool is_taken[THREADS];
byte made;
byte finished;

proctype Thread(byte me) {
  OWNER_LOCALS;
  byte n;

  /* take_abandoned(), the newest first; publish_new() */
  STEP(b = made);
  do
  :: b > 0 ->
#if BUG == BUG_TAKEN_WITHOUT_CAS
     STEP(b--; is_done = !is_taken[b]);
     if
     :: is_done -> STEP(is_taken[b] = true)
     :: else
     fi;
#else
     STEP(b--; is_done = !is_taken[b]; is_taken[b] = true);
#endif
     if
     :: is_done -> break
     :: else
     fi
  :: b == 0 -> STEP(b = made; made++; is_taken[b] = true); break
  od;

  /* Place::make_block(), open() */
  if
  :: (listed & BIT(b)) == 0 ->
     STEP(
       chunk_[b] = POOL + b;
       chunk[POOL + b].epoch = EPOCH(word[b]);
       cursor[b] = CURSOR(POOL + b, BEGIN(EPOCH(word[b]))));
     STEP(listed = listed | BIT(b)) /* [blocks:release] */
  :: else
  fi;

  do
  :: n < RECORDS - me && !IS_SLOW(cursor[b]) -> id = me * RECORDS + n; capture(); n++
  :: n < RECORDS - me && IS_SLOW(cursor[b]) -> make_room() /* Place::renew() */
  :: n == RECORDS - me || (MAY_END_EARLY && n > 0) -> break
  od;

  STEP(is_taken[b] = false; finished++); /* leave(), [thread:release] */
stopped:
  skip
}

#define COUNT(mask) \
  j = 0; \
  moved = mask; \
  do \
  :: moved != 0 -> j = j + (moved & 1); moved = moved >> 1 \
  :: else -> break \
  od

/* ThreadBlock::position(): how many records b's threads have ever made. The newest part is left out after too many changes. */
inline add_position() {
  STEP(w = word[b]);
  i = 0;
  do
  :: STATE(w) != OPEN -> position = position + POSITION(EPOCH(w), R); break
  :: STATE(w) == OPEN && i == 2 -> position = position + POSITION(EPOCH(w), (EPOCH(w) == claimed_epoch[b] -> claimed_taken[b] : BEGIN(EPOCH(w)))); break
  :: STATE(w) == OPEN && i < 2 ->
     filled();
     c = NONE;
     STEP(seen = word[b]);
     if
     :: seen == w -> position = position + POSITION(EPOCH(w), part); part = 0; break
     :: else -> w = seen; part = 0
     fi;
     i++
  od;
  seen = 0; i = 0
}

proctype Drainer() {
  DRAINER_LOCALS;
  byte me = THREADS, looks;
  bool is_quiet;

  do
  :: looks < LOOKS ->
     is_quiet = finished == THREADS;
     look(false);

     /* Drain::ledger() */
     position = 0;
     GROUP { FOR_EACH_BLOCK(add_position()) };
     STEP(
       COUNT(got);
       assert(position >= j);
       COUNT(recorded);
       assert(position <= j);
       j = 0; position = 0);

     if
     :: is_quiet ->
        d_step {
          i = 0;
          j = len(free);
          do
          :: i < THREADS -> j = j + (spare[i] != NONE -> 1 : 0); i++
          :: else -> break
          od;
          assert(got == recorded && j == POOL);
          i = 0; j = 0; is_quiet = false
        }
     :: else
     fi;
     looks++
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
    :: else -> i = 0; break
    od;
    do
    :: i < THREADS -> run Thread(i); i++
    :: else -> break
    od;
    run Drainer()
  }
}
