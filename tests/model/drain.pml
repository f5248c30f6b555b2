/* The drainer's half of the protocol: ThreadBlock's members for the drainer, and src/drain.cpp. One process includes this in itself, as all
 * of it is that process's own. */

/* What a drainer knows of each block, and what the look under way has claimed of it. ThreadBlock::Claim, Drain::Open. */
#define NO_SET 0
#define FLIPPED 1
#define STOLEN_WHILE_PREPARING 2
#define STOLEN_WHILE_FOLDING 3
#define DRAINER_LOCALS \
  byte claimed_epoch[THREADS] = FIRST_EPOCH, claimed_taken[THREADS], previous_epoch[THREADS] = FIRST_EPOCH, previous_taken[THREADS]; \
  byte marked_epoch[THREADS], how[THREADS], set[THREADS], stamp[THREADS], records[THREADS], later[THREADS] = NONE; \
  bool stolen_is_uncleared[THREADS]; \
  byte copy[THREADS * R]; \
  bool is_left[CHUNKS]; \
  byte owner[CHUNKS]; \
  byte b, c = NONE, next = NONE, i, j, k, at, part, taken, first, position; \
  short w, seen, mark, got, moved; \
  bool is_done, is_first_try, is_discarding

/* OverloadSet::clear() */
#define CLEAR(s) \
  j = 0; \
  do \
  :: j < sets[s].touched_count -> sets[s].stamp[sets[s].touched[j]] = 0; j++ \
  :: else -> break \
  od; \
  sets[s].touched_count = 0; \
  sets[s].lost = 0; \
  j = 0

/* ThreadBlock::note_taken() */
#define NOTE_TAKEN(b, epoch, count) \
  if \
  :: (epoch) != claimed_epoch[b] -> previous_epoch[b] = claimed_epoch[b]; previous_taken[b] = claimed_taken[b] \
  :: else \
  fi; \
  claimed_epoch[b] = epoch; \
  claimed_taken[b] = count

/* Records in an aggregate, or lost with a cause: each once, and none that was not recorded. In `moved` are those of this step. */
#define TAKE(mask) \
  moved = mask; \
  assert((got & moved) == 0); \
  assert((moved & ~recorded) == 0); \
  CHECK_TAKEN(moved); \
  got = got | moved; \
  moved = 0

/* The same of what a thread has folded: that must be this collector's. */
#define TAKE_FOLDED(mask) \
  CHECK_FOLDED(mask); \
  TAKE(mask)

/* ThreadBlock::filled(): `c` is the chunk to copy from, NONE if it is queued; `part` how far it is filled. */
inline filled() {
  STEP(at = cursor[b]); /* [cursor:acquire] */
  if
  :: at == 0 || at == PARKED ->
     STEP(c = chunk_[b]; part = R);
#if BUG != BUG_PARKED_EPOCH_UNCHECKED
     STEP(
       if
       :: chunk[c].epoch != EPOCH(w) -> c = NONE
       :: else
       fi)
#endif
  :: else ->
     STEP(
       c = CHUNK_OF(at);
       part = FILLED(at);
       if
       :: chunk[c].epoch != EPOCH(w) && BUG != BUG_EPOCH_UNCHECKED -> c = NONE; part = R
       :: else
       fi)
  fi;
  at = 0
}

/* ThreadBlock::copy(): [taken, end) of c. */
inline copy_records(end) {
  i = taken;
  do
  :: i < end -> STEP(copy[b * R + i - taken] = chunk[c].record[i]; i++)
  :: else -> break
  od;
  i = 0
}

/* ThreadBlock::claim() */
inline claim(always_exchange) {
  STEP(w = word[b]);
  is_first_try = true;
  do
  :: d_step {
       marked_epoch[b] = EPOCH(w);
       how[b] = NO_SET;
       records[b] = 0;
       set[b] = SET(w);
       stamp[b] = STAMP(w);
       taken = (EPOCH(w) == claimed_epoch[b] -> claimed_taken[b] : BEGIN(EPOCH(w)))
     };
     if
     :: STATE(w) == STOLEN -> break
     :: else
     fi;
     if
     :: stolen_is_uncleared[b] -> STEP(CLEAR(2 * b + 1 - SET(w)); stolen_is_uncleared[b] = false)
     :: else
     fi;
     if
     :: STATE(w) == OPEN ->
        GROUP {
          if
          :: is_first_try && BUG != BUG_OPEN_CHUNK_SKIPPED -> filled()
          :: else -> c = NONE; part = taken
          fi;
          if
          :: c != NONE && part > taken -> copy_records(part); records[b] = part - taken
          :: else
          fi
        };
        c = NONE;
        if
        :: records[b] == 0 && !DIRTY(w) && !(always_exchange) ->
           STEP(seen = word[b]);
           if
           :: !is_first_try || seen == w -> seen = 0; break
           :: else -> w = seen; seen = 0
           fi
        :: else ->
           if
           :: DIRTY(w) -> how[b] = FLIPPED
           :: else
           fi;
           at = EPOCH(w);
           STEP(EXCHANGE(WORD(EPOCH(w), taken + records[b], OPEN, (DIRTY(w) -> 1 - SET(w) : SET(w)), 0)));
           if
           :: is_done -> d_step { NOTE_TAKEN(b, at, taken + records[b]) }; at = 0; break
           :: else -> at = 0
           fi
        fi
     :: BUG == BUG_DRAINER_WAITS && STATE(w) != OPEN -> STEP(EPOCH(word[b]) > EPOCH(w) -> w = word[b])
     :: BUG != BUG_DRAINER_WAITS && STATE(w) != OPEN ->
        STEP(c = chunk_[b]);
        GROUP { copy_records(R) };
        c = NONE;
        d_step {
          records[b] = R - taken;
          how[b] = (STATE(w) == FOLDING -> STOLEN_WHILE_FOLDING : STOLEN_WHILE_PREPARING);
          at = EPOCH(w)
        };
        STEP(EXCHANGE(WORD(EPOCH(w), TAKEN(w), STOLEN, SET(w), 0)));
        if
        :: is_done -> d_step { NOTE_TAKEN(b, at, R); stolen_is_uncleared[b] = true }; at = 0; break
        :: else -> at = 0
        fi
     fi;
     is_first_try = false
  od;
  taken = 0; part = 0; is_first_try = false
}

/* ThreadBlock::pop_sealed(), [sealed:acquire] */
inline pop_sealed(to) {
  STEP(
    if
    :: nempty(sealed[b]) -> sealed[b]?to
    :: empty(sealed[b]) -> to = NONE
    fi)
}

/* Drain::take_chunk() of b's chunk c */
inline take_chunk() {
#if BUG == BUG_RECYCLED_BEFORE_READ
  STEP(at = chunk[c].epoch; free!c);
#endif
  d_step {
#if BUG != BUG_RECYCLED_BEFORE_READ
    at = chunk[c].epoch;
#endif
    i = (at == claimed_epoch[b] -> claimed_taken[b] : (at == previous_epoch[b] -> previous_taken[b] : (BUG == BUG_SHORT_FORGOTTEN -> 0 : BEGIN(at)))); /* taken_of() */
    if
    :: BUG == BUG_TAKEN_FORGOTTEN -> i = 0
    :: else
    fi;
    do
    :: i < R -> TAKE(BIT(chunk[c].record[i])); i++
    :: else -> break
    od;
    i = 0;
    if
    :: at >= claimed_epoch[b] -> NOTE_TAKEN(b, at, R)
    :: else
    fi;
    at = 0;
#if BUG != BUG_RECYCLED_BEFORE_READ
    is_left[c] = true;
    owner[c] = b;
#endif
  }
}

/* Drain::take_set(), ThreadBlock::visit() and finish() */
inline take_set() {
  k = 2 * b + set[b];
  i = 0;
  if
  :: how[b] == FLIPPED -> /* visit_all() */
     do
     :: i < sets[k].touched_count -> STEP(TAKE_FOLDED(sets[k].cell[sets[k].touched[i]]); i++)
     :: else -> break
     od;
     STEP(
       TAKE(sets[k].lost);
       if
       :: BUG != BUG_SET_NOT_EMPTIED -> CLEAR(k)
       :: else
       fi)
  :: how[b] == STOLEN_WHILE_PREPARING -> /* visit_before_prepare() */
     do
     :: i < sets[k].touched_at_start -> STEP(TAKE_FOLDED(sets[k].cell[sets[k].touched[i]]); i++)
     :: else -> break
     od;
     STEP(TAKE(sets[k].lost))
  :: how[b] == STOLEN_WHILE_FOLDING -> /* visit_before_fold() */
     do
     :: i < sets[k].touched_at_start ->
        STEP(
          if
          :: sets[k].stamp[sets[k].touched[i]] != stamp[b] || BUG == BUG_LOG_UNREAD -> TAKE_FOLDED(sets[k].cell[sets[k].touched[i]])
          :: else
          fi;
          i++)
     :: else -> break
     od;
     i = 0;
     do
     :: i < sets[k].log_count && BUG != BUG_LOG_UNREAD ->
        STEP(
          if
          :: sets[k].log_stamp[i] != 0 -> TAKE_FOLDED(sets[k].log[i])
          :: else
          fi;
          i++)
     :: else -> break
     od;
     STEP(TAKE(sets[k].lost_before))
  :: how[b] == NO_SET
  fi;
#if BUG == BUG_STOLEN_EMPTIED_EARLY
  if
  :: how[b] >= STOLEN_WHILE_PREPARING -> STEP(CLEAR(k); stolen_is_uncleared[b] = false)
  :: else
  fi;
#endif
  i = 0; k = 0
}

/* Drain::take_records() of what was claimed of b's open chunk */
inline take_open() {
  d_step {
    i = 0;
    do
    :: i < records[b] -> TAKE(BIT(copy[b * R + i])); copy[b * R + i] = 0; i++
    :: else -> break
    od;
    i = 0; records[b] = 0; set[b] = 0; stamp[b] = 0
  }
}

#define FOR_EACH_BLOCK(...) \
  b = 0; \
  do \
  :: b < THREADS -> \
     if \
     :: first & BIT(b) -> __VA_ARGS__ \
     :: else \
     fi; \
     b++ \
  :: else -> break \
  od; \
  b = 0

/* Drain::mark() */
#define MARK(always_exchange) FOR_EACH_BLOCK(claim(always_exchange))

/* Drain::drain_queue(), its first part: one block's queue, up to the chunk it was in at its mark. */
inline drain_queue() {
  pop_sealed(c);
  do
  :: c == NONE -> break
  :: c != NONE ->
     if
     :: chunk[c].epoch > marked_epoch[b] || BUG == BUG_MARK_UNHEEDED -> later[b] = c; break
     :: else
     fi;
     pop_sealed(next);
     take_chunk();
     c = next; next = NONE
  od;
  c = NONE
}

/* Its last part: the first chunk of a block's queue that came after its mark. */
inline take_later() {
  if
  :: later[b] != NONE -> c = later[b]; later[b] = NONE; take_chunk(); c = NONE
  :: else
  fi
}

/* Drain::recycle_left(), Place::recycle(): [free:release] */
inline recycle_left() {
  c = 0;
  do
  :: c < CHUNKS ->
     if
     :: is_left[c] ->
        STEP(
          if
          :: EPOCH(word[owner[c]]) > chunk[c].epoch -> free!c; is_left[c] = false; owner[c] = 0 /* has_left() */
          :: else
          fi)
     :: else
     fi;
     c++
  :: else -> break
  od;
  c = NONE
}

/* Drain::look(), and what the constructor of Drain does. OWED: the records that must have been taken in the end. */
inline look(always_exchange) {
  STEP(first = listed; mark = OWED); /* [blocks:acquire] */
#if BUG == BUG_MARK_AFTER_QUEUE
  FOR_EACH_BLOCK(marked_epoch[b] = EPOCH(word[b]));
  FOR_EACH_BLOCK(drain_queue());
  MARK(always_exchange);
#else
  MARK(always_exchange);
  FOR_EACH_BLOCK(drain_queue());
#endif
  GROUP { FOR_EACH_BLOCK(take_set()) };
  FOR_EACH_BLOCK(take_open());
  FOR_EACH_BLOCK(take_later());
  GROUP { recycle_left() };
  assert((mark & ~got) == 0);
  mark = 0
}
