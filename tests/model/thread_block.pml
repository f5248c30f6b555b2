/* The protocol of src/thread_block.hpp, step by step: what a thread does with its chunk, sets and word, and what a drainer does with them.
 *
 * A step is what the processor does at once: one access to memory that another thread may touch, with the private arithmetic around it.
 * Above each stands the function of src/ that it belongs to, and names are those of the sources. What is left out changes nothing here: a
 * set's cells hold which records were folded into them instead of sums, a chunk has R records instead of 255, and a try on a queue may
 * always fail. Memory is sequentially consistent, as ever with spin: the orders are for TSan and for the lint of edges.
 *
 * Whoever includes this defines THREADS, POOL, STOPS, BUG, SERIES_OF(record) and IS_FOREIGN(record, base), and labels `stopped` the end
 * of each process. */

#define R 2 /* kChunkRecords */
#define SERIES 2
#define CHUNKS (POOL + THREADS) /* the pool's, and each block's first */
#define NONE 255
#define NO_RECORD 14 /* what a chunk holds before its first use */
#define BIT(record) (1 << (record))

/* A step, or the end for good of a process that STOPS lets stop: of the first thread, or of the drainer. */
#define STEP(...) if :: d_step { __VA_ARGS__ } :: STOPS == 1 + me -> goto stopped fi

/* What only a process's own thief or victim sees the inside of: one step where IS_COARSE, for two threads at once. */
#if IS_COARSE
#define GROUP atomic
#else
#define GROUP
#endif

/* What can be planted: BUG is one of these, or 0. */
#define BUG_CURSOR_BEFORE_RECORD 1    /* the record is written after the cursor shows it */
#define BUG_CURSOR_BEFORE_QUEUE 2     /* a hand-over moves the cursor first, then queues the full chunk */
#define BUG_SEAL_STORES_WORD 3        /* a hand-over sets the word without looking: a flip is lost */
#define BUG_RECYCLED_BEFORE_READ 4    /* a chunk is free again before its records are taken */
#define BUG_MARK_AFTER_QUEUE 5        /* a look takes the queues first and the open chunks then */
#define BUG_OPEN_CHUNK_SKIPPED 6      /* a look takes full chunks only */
#define BUG_TAKEN_FORGOTTEN 7         /* a queued chunk is taken whole, whatever looks had of it before */
#define BUG_SET_NOT_EMPTIED 8         /* a flipped set is handed back as it was: folded twice */
#define BUG_STOLEN_EMPTIED_EARLY 9    /* a stolen set is emptied while its thread may still fold */
#define BUG_THEFT_UNSEEN 10           /* a thread goes on in the set that was stolen */
#define BUG_LOG_STALE 11              /* a fold keeps the log of the one before */
#define BUG_LOG_UNREAD 12             /* a thief reads the cells that the fold is changing */
#define BUG_FOLD_IGNORES_TAKEN 13     /* a thread folds records that a look has taken */
#define BUG_EPOCH_UNCHECKED 14        /* a look takes the chunk under the cursor for that of the word */
#define BUG_PARKED_EPOCH_UNCHECKED 15 /* the same, where the cursor is parked or null */
#define BUG_MARK_UNHEEDED 16          /* a look stops at the first queued chunk */
#define BUG_TAKEN_WITHOUT_CAS 17      /* two threads take the same abandoned record */
#define BUG_THREAD_WAITS 18           /* a thread waits for a look to empty the stolen set */
#define BUG_DRAINER_WAITS 19          /* a look waits for a fold to end */
#define BUG_PARKED_BLINDLY 20         /* a thread parks without a second look at the gate */
#define BUG_STALE_ID_FOLDED 21        /* a fold takes what came through a handle of an earlier collector */
#define BUG_SHORT_FORGOTTEN 22        /* a queued chunk is taken from its start, where it was begun later */

/* ThreadBlock::Epoch, in halves of a chunk instead of thirds: after a fold of its own a thread begins its chunk at record 1. */
#define FIRST_EPOCH 2
#define BEGIN(epoch) ((epoch) & 1)
#define NEXT(epoch, is_short) ((epoch) - BEGIN(epoch) + 4 - 2 * BEGIN(epoch) + (is_short))
#define POSITION(epoch, end) (((epoch) >> 1) - 1 + (end) - BEGIN(epoch))
#if IS_LOSSY
#define IS_SHORT 0
#else
#define IS_SHORT 1
#endif

/* ThreadBlock::Word: {epoch, taken, dirty, set, state}, compared and exchanged as one. */
#define OPEN 0
#define PREPARING 1
#define FOLDING 2
#define STOLEN 3
#define WORD(epoch, taken, state, set, dirty) ((epoch) << 6 | (taken) << 4 | (dirty) << 3 | (set) << 2 | (state))
#define EPOCH(word) ((word) >> 6)
#define TAKEN(word) ((word) >> 4 & 3)
#define DIRTY(word) ((word) >> 3 & 1)
#define SET(word) ((word) >> 2 & 1)
#define STATE(word) ((word) & 3)

/* Cursor: null, parked, or a chunk and how far it is filled. One past the end still belongs to the chunk. */
#define PARKED 254
#define CURSOR(c, filled) (1 + (c) * (R + 1) + (filled))
#define CHUNK_OF(cursor) (((cursor) - 1) / (R + 1))
#define FILLED(cursor) (((cursor) - 1) % (R + 1))
#define IS_SLOW(cursor) ((cursor) == 0 || (cursor) == PARKED || FILLED(cursor) == R)

typedef Chunk {
  byte epoch;
  byte record[R] = NO_RECORD
};
Chunk chunk[CHUNKS];
chan free = [CHUNKS] of { byte };

/* OverloadSet: a block's two are 2 * b and 2 * b + 1. */
typedef OverloadSet {
  short cell[SERIES];
  byte stamp[SERIES];
  byte touched[SERIES];
  short log[SERIES];
  byte log_stamp[SERIES];
  byte log_index[SERIES];
  byte log_count, touched_count, touched_by_owner, touched_at_start;
  short lost, lost_before /* the tally */
};
OverloadSet sets[2 * THREADS];

/* ThreadBlock, what thread and drainer share. */
short word[THREADS] = WORD(FIRST_EPOCH, 0, OPEN, 0, 0);
byte chunk_[THREADS];
byte cursor[THREADS];
byte spare[THREADS] = NONE;
chan sealed[THREADS] = [CHUNKS] of { byte };

byte listed;    /* Place::blocks_ */
byte base;      /* SeriesRange::base_ */
short recorded; /* by their threads, whatever became of them */

/* Thread's side, `b` being its block and `w` the word as it last saw it. ------------------------------------------------------------------- */

/* exchange(): leaves what it found in `w` where that is not what was expected. */
#define EXCHANGE(next) \
  if \
  :: word[b] == w -> w = next; word[b] = w; is_done = true \
  :: else -> w = word[b]; is_done = false \
  fi

/* move_cursor() */
inline move_cursor(to, epoch_) {
  GROUP {
    STEP(chunk[to].epoch = epoch_);
    STEP(chunk_[b] = to);
    STEP(cursor[b] = CURSOR(to, BEGIN(epoch_)))
  }
}

/* seal_into(): queues the full chunk, moves on to `fresh`. Not is_done: the queue had no room, and nothing was changed. */
inline seal_into() {
#if BUG == BUG_CURSOR_BEFORE_QUEUE
  STEP(w = word[b]; old = chunk_[b]);
  move_cursor(fresh, NEXT(EPOCH(w), 0));
  STEP(sealed[b]!old);
  is_done = true;
#else
  if
  :: STEP(sealed[b]!chunk_[b]); /* ChunkQueue::try_push(), [sealed:release] */
     STEP(w = word[b]);
     move_cursor(fresh, NEXT(EPOCH(w), 0));
     is_done = true
  :: TRY_MAY_FAIL -> is_done = false
  fi;
#endif
  if
  :: is_done ->
#if BUG == BUG_SEAL_STORES_WORD
     STEP(word[b] = WORD(NEXT(EPOCH(w), 0), 0, OPEN, SET(w), DIRTY(w)))
#else
     do
     :: STEP(EXCHANGE(WORD(NEXT(EPOCH(w), 0), 0, OPEN, SET(w), DIRTY(w))));
        if
        :: is_done -> break
        :: else
        fi
     od
#endif
  :: else
  fi
}

/* begin_fold(), OverloadSet::begin() */
inline begin_fold() {
  STEP(w = word[b]);
  do
  :: GROUP {
       STEP(
         s = 2 * b + SET(w);
         if
         :: !DIRTY(w) -> sets[s].touched_by_owner = 0
         :: else
         fi;
         sets[s].touched_at_start = sets[s].touched_by_owner);
       STEP(EXCHANGE(WORD(EPOCH(w), TAKEN(w), PREPARING, SET(w), DIRTY(w))))
     };
     if
     :: is_done -> break
     :: else
     fi
  od
}

#define STAMP(w) (EPOCH(w) + 1) /* stamp_of(): never 0 */
#define FIRST_TO_FOLD (BUG == BUG_FOLD_IGNORES_TAKEN -> 0 : TAKEN(w))

/* OverloadSet::prepare(): logs the old contents of the cells that the fold will change. */
inline prepare() {
  STEP(
    sets[s].lost_before = sets[s].lost;
    if
    :: BUG != BUG_LOG_STALE || sets[s].log_count == SERIES -> sets[s].log_count = 0
    :: else
    fi;
    i = FIRST_TO_FOLD);
  do
  :: i < R ->
     STEP(
       id = chunk[chunk_[b]].record[i];
       i++;
       k = SERIES_OF(id);
       is_done = IS_FOREIGN(id, range) || sets[s].stamp[k] == STAMP(w);
       /* prepare_cell(), first part */
       if
       :: !is_done && sets[s].stamp[k] == 0 ->
          sets[s].cell[k] = 0;
          sets[s].touched[sets[s].touched_by_owner] = k;
          sets[s].touched_by_owner++
       :: else
       fi);
     if
     :: !is_done ->
        STEP(
          sets[s].log[sets[s].log_count] = sets[s].cell[k];
          sets[s].log_stamp[sets[s].log_count] = sets[s].stamp[k];
          sets[s].log_index[sets[s].log_count] = k;
          sets[s].log_count++);
        STEP(sets[s].stamp[k] = STAMP(w))
     :: else
     fi
  :: else -> break
  od;
  STEP(sets[s].touched_count = sets[s].touched_by_owner)
}

/* OverloadSet::fold_prepared() */
inline fold_prepared() {
  i = FIRST_TO_FOLD;
  do
  :: i < R ->
     STEP(
       id = chunk[chunk_[b]].record[i];
       i++;
       if
       :: IS_FOREIGN(id, range)
       :: else -> sets[s].cell[SERIES_OF(id)] = sets[s].cell[SERIES_OF(id)] | BIT(id)
       fi)
  :: else -> break
  od
}

/* begin_again(): the same chunk, emptied. */
inline begin_again() {
  move_cursor(chunk_[b], NEXT(EPOCH(w), IS_SHORT));
  is_done = false;
  if
  :: STATE(w) != STOLEN -> STEP(EXCHANGE(WORD(NEXT(EPOCH(w), IS_SHORT), IS_SHORT, OPEN, SET(w), 1)))
  :: else
  fi;
  if
  :: !is_done -> /* Stolen: the fold is void. The other set is empty. */
#if BUG == BUG_THREAD_WAITS
     sets[s].touched_count == 0 && sets[s].lost == 0;
#endif
     do
     :: STEP(EXCHANGE(WORD(NEXT(EPOCH(w), IS_SHORT), IS_SHORT, OPEN, (BUG == BUG_THEFT_UNSEEN -> SET(w) : 1 - SET(w)), 0)));
        if
        :: is_done -> break
        :: else
        fi
     od
  :: else
  fi
}

/* fold_own(); lose_own() where IS_LOSSY */
inline fold_own() {
  begin_fold();
  GROUP {
#if IS_LOSSY
    STEP(sets[s].lost_before = sets[s].lost; sets[s].log_count = 0); /* prepare_loss() */
#else
    STEP(range = base); /* SeriesRange::table() */
    prepare();
#endif
    STEP(EXCHANGE(WORD(EPOCH(w), TAKEN(w), FOLDING, SET(w), DIRTY(w))))
  };
  if
  :: is_done ->
#if IS_LOSSY
     STEP( /* add_loss(): of a number, which this set of records stands for */
       i = FIRST_TO_FOLD;
       do
       :: i < R -> sets[s].lost = sets[s].lost | BIT(chunk[chunk_[b]].record[i]); i++
       :: else -> break
       od)
#else
     GROUP { fold_prepared() }
#endif
  :: else
  fi;
  begin_again();
  s = 0; i = 0; k = 0; id = 0; range = 0
}

/* Place::make_room(), with try_take_free() and overload() */
inline make_room() {
  if
  :: STEP(spare[b] != NONE -> fresh = spare[b]; spare[b] = NONE)
  :: STEP(spare[b] == NONE && nempty(free) -> free?fresh) /* [free:acquire] */
  :: STEP(spare[b] == NONE && (TRY_MAY_FAIL || empty(free)) -> fresh = NONE)
  fi;
  if
  :: fresh != NONE -> seal_into()
  :: else -> is_done = false
  fi;
  if
  :: !is_done ->
     if
     :: fresh != NONE -> STEP(spare[b] = fresh)
     :: else
     fi;
     fold_own()
  :: else
  fi;
  fresh = NONE; w = 0; is_done = false
}

/* capture(): writes `id`, then moves the cursor over it. */
inline capture() {
#if BUG == BUG_CURSOR_BEFORE_RECORD
  STEP(cursor[b]++; RECORDED(id));
  STEP(chunk[CHUNK_OF(cursor[b] - 1)].record[FILLED(cursor[b]) - 1] = id)
#else
  GROUP {
    STEP(chunk[CHUNK_OF(cursor[b])].record[FILLED(cursor[b])] = id);
    STEP(cursor[b]++; RECORDED(id)) /* [cursor:release] */
  }
#endif
}

#define OWNER_LOCALS \
  byte b, fresh = NONE, old, s, i, k, id, range; \
  short w; \
  bool is_done
