#include "thread_block.hpp"

#include <utility>

namespace pepper::detail {

bool ThreadBlock::exchange(Word& expected, const Word& next) noexcept {
  std::uint64_t bits = expected.bits();
  // [word:acquire] [word:release] both sides hand sets, logs and chunk contents to each other; pairs with itself and with [word:acquire] in
  // look()
  if (word_.compare_exchange_strong(bits, next.bits(), std::memory_order_acq_rel, std::memory_order_acquire)) return true;
  expected = Word::of(bits);
  return false;
}

void ThreadBlock::move_cursor(Chunk* chunk, std::uint64_t epoch) noexcept {
  chunk->epoch.store(epoch, std::memory_order_relaxed);  // [relaxed: published by the cursor, or by what follows]
  chunk_.store(chunk, std::memory_order_release);        // [opened:release] pairs with [opened:acquire] in ThreadBlock::filled()
  const std::uintptr_t at = chunk->at(Epoch::begin(epoch));
  cursor_.store(at, std::memory_order_release);  // [cursor:release] pairs with [cursor:acquire] in ThreadBlock::filled()
}

void ThreadBlock::open(Chunk* first) noexcept {
  first_chunk_ = first;
  move_cursor(first, look().epoch);
}

bool ThreadBlock::seal_into(Chunk* fresh, ChunkQueue& sealed) noexcept {
  Chunk* const full = chunk_.load(std::memory_order_relaxed);  // [relaxed: owner writes it]
  full->owner.store(this, std::memory_order_release);          // [sealed:release] pairs with [sealed:acquire] in ThreadBlock::pop_sealed()
  if (!sealed.try_push(queue_end().producer, full)) return false;
  Word word = look();
  const std::uint64_t next = Epoch::next(word.epoch, false);
  move_cursor(fresh, next);
  while (!exchange(word, {next, 0, State::open, word.set, word.dirty})) continue;  // only a look of the drainer makes it fail
  return true;
}

ThreadBlock::~ThreadBlock() { drop_queue_ends(); }

void ThreadBlock::drop_queue_ends() noexcept {
  const QueueEnd* end = queue_ends_.exchange(nullptr, std::memory_order_relaxed);  // [relaxed: no other thread any more]
  while (end != nullptr) delete std::exchange(end, end->older);
}

void ThreadBlock::replace_producer(ChunkQueue::Producer producer, std::size_t capacity) {
  const QueueEnd* const older = queue_ends_.load(std::memory_order_relaxed);  // [relaxed: owner writes it]
  // [ends:release] pairs with [ends:acquire] in pop_sealed()
  queue_ends_.store(new QueueEnd{std::move(producer), capacity, older}, std::memory_order_release);
}

Chunk* ThreadBlock::pop_sealed(ChunkQueue& sealed) const noexcept {
  Chunk* chunk = nullptr;
  const auto pop_from = [&](const QueueEnd& end) {
    while (sealed.try_pop_from(end.producer, chunk)) {
      if (chunk == nullptr) continue;                      // see ChunkQueue::make_producer()
      (void)chunk->owner.load(std::memory_order_acquire);  // [sealed:acquire] pairs with [sealed:release] in seal_into()
      return true;
    }
    return false;
  };
  // [ends:acquire] pairs with [ends:release] in replace_producer(). The oldest first: what is in it was sealed first.
  const QueueEnd* const newest = queue_ends_.load(std::memory_order_acquire);
  for (const QueueEnd* popped = nullptr; popped != newest;) {
    const QueueEnd* end = newest;
    while (end->older != popped) end = end->older;
    if (pop_from(*end)) return chunk;
    popped = end;
  }
  return nullptr;
}

ThreadBlock::Word ThreadBlock::begin_fold() noexcept {
  is_untouched = false;  // from now on a set may be the drainer's
  Word word = look();
  do sets_[word.set].begin(!word.dirty);
  while (!exchange(word, {word.epoch, word.taken, State::preparing, word.set, word.dirty}));
  word.state = State::preparing;
  return word;
}

void ThreadBlock::begin_again(Word was, bool is_short) noexcept {
  const std::uint64_t next = Epoch::next(was.epoch, is_short);
  move_cursor(chunk_.load(std::memory_order_relaxed), next);  // [relaxed: owner writes it]
  if (was.state != State::stolen && exchange(was, {next, Epoch::begin(next), State::open, was.set, true})) return;
  // Stolen: the fold is void. The other set is empty, and nobody but this thread changes a stolen word.
  const auto other = static_cast<std::uint8_t>(was.set ^ 1);
  while (!exchange(was, {next, Epoch::begin(next), State::open, other, false})) continue;
}

bool ThreadBlock::fold_own(const SeriesRange& series) noexcept {
  Word word = begin_fold();
  // Read after the exchange: a collector that takes over the place writes its range, then claims every block.
  const FoldTable table = series.table(nullptr, stamp_of(word.epoch));
  const Record* const records = chunk_.load(std::memory_order_relaxed)->records + word.taken;  // [relaxed: owner writes it]
  const std::size_t count = kChunkRecords - word.taken;
  sets_[word.set].prepare(records, count, table);
  Word folding = word;
  folding.state = State::folding;
  if (exchange(word, folding)) {
    word = folding;
    sets_[word.set].fold_prepared(records, count, table);
  }
  const bool is_crowded = sets_[word.set].is_crowded();
  begin_again(word, true);
  return is_crowded;
}

void ThreadBlock::lose_own(Found cause) noexcept {
  Word word = begin_fold();
  sets_[word.set].prepare_loss();
  Word folding = word;
  folding.state = State::folding;
  if (exchange(word, folding)) {
    word = folding;
    sets_[word.set].add_loss(cause, kChunkRecords - word.taken);
  }
  begin_again(word, false);
}

void ThreadBlock::touch(std::uint32_t series, std::uint32_t distributions, bool has_checks) noexcept {
  if (!is_untouched) return;
  is_untouched = false;
  touch_pages(chunk_.load(std::memory_order_relaxed), kChunkBytes);  // [relaxed: owner writes it]
  for (OverloadSet& set : sets_) set.touch(series, distributions, has_checks);
}

ThreadBlock::Filled ThreadBlock::filled(const Word& word) const noexcept {
  // [cursor:acquire] pairs with [cursor:release] in capture(), move_cursor() and park()
  const std::uintptr_t at = cursor_.load(std::memory_order_acquire);
  const bool is_parked = at == 0 || at == kParked;  // or no chunk yet; parked is what is full
  // [opened:acquire] pairs with [opened:release] in move_cursor()
  Chunk* const chunk = is_parked ? chunk_.load(std::memory_order_acquire) : Chunk::of(at);
  if (chunk == nullptr) return {0, nullptr};
  // The cursor has moved, or is about to, and the word not yet: the chunk is full, and queued or taken.
  if (chunk->epoch.load(std::memory_order_relaxed) != word.epoch) return {kChunkRecords, nullptr};  // [relaxed: published with the chunk]
  return {is_parked ? static_cast<std::uint32_t>(kChunkRecords) : Chunk::filled(at), chunk};
}

void ThreadBlock::copy(Record* to, const Chunk& chunk, std::uint32_t from, std::uint32_t end) noexcept {
  for (std::uint32_t i = from; i < end; ++i, ++to) {
    Record& record = const_cast<Record&>(chunk.records[i]);  // atomic_ref takes no const in C++20; it is only read
    // [relaxed: published by cursor or word; a copy that the owner overtook is thrown away]
    *to = {std::atomic_ref(record.head).load(std::memory_order_relaxed), std::atomic_ref(record.value).load(std::memory_order_relaxed)};
  }
}

ThreadBlock::Claim ThreadBlock::claim(Record* buffer, bool always_exchange) noexcept {
  Word word = look();
  for (bool is_first_try = true;; is_first_try = false) {
    marked_epoch_ = word.epoch;
    if (word.state == State::stolen) return {};  // by an earlier look, and the owner has not moved since: all of it is taken
    if (stolen_is_uncleared_) {
      sets_[word.set ^ 1].clear();  // the owner has left the stolen set
      stolen_is_uncleared_ = false;
    }
    const std::uint32_t taken = word.epoch == claimed_.epoch ? claimed_.taken : Epoch::begin(word.epoch);
    Claim claim{Claim::How::no_set, word.set, stamp_of(word.epoch), 0};
    if (word.state == State::open) {
      // After a failed try the chunk that was open then is queued or folded, and the new one began after this call: the set alone matters.
      const Filled part = is_first_try ? filled(word) : Filled{taken, nullptr};
      if (part.chunk != nullptr && part.end > taken) {
        copy(buffer, *part.chunk, taken, part.end);
        claim.records = part.end - taken;
      }
      if (claim.records == 0 && !word.dirty && !always_exchange) {
        const Word seen = look();
        if (!is_first_try || seen.bits() == word.bits()) return {};
        word = seen;
        continue;
      }
      if (word.dirty) claim.how = Claim::How::flipped;
      const auto set = static_cast<std::uint8_t>(word.dirty ? word.set ^ 1 : word.set);
      const std::uint32_t now_taken = taken + claim.records;
      const std::uint64_t epoch = word.epoch;
      if (exchange(word, {word.epoch, now_taken, State::open, set, false})) {
        note_taken(epoch, now_taken);
        return claim;
      }
    } else {
      copy(buffer, *chunk_.load(std::memory_order_relaxed), taken, kChunkRecords);  // [relaxed: published by the word]
      claim.records = kChunkRecords - taken;
      claim.how = word.state == State::folding ? Claim::How::stolen_while_folding : Claim::How::stolen_while_preparing;
      const std::uint64_t epoch = word.epoch;
      if (exchange(word, {word.epoch, word.taken, State::stolen, word.set, false})) {
        note_taken(epoch, kChunkRecords);
        stolen_is_uncleared_ = true;
        return claim;
      }
    }
  }
}

bool ThreadBlock::has_left(std::uint64_t epoch) const noexcept { return look().epoch > epoch; }

std::uint64_t ThreadBlock::position() const noexcept {
  Word word = look();
  for (int tries = 0; tries < 64; ++tries) {
    if (word.state != State::open) return Epoch::position(word.epoch, kChunkRecords);
    const std::uint32_t end = filled(word).end;
    const Word again = look();
    if (again.bits() == word.bits()) return Epoch::position(word.epoch, end);
    word = again;
  }
  // Not the newest, but never too many.
  return Epoch::position(word.epoch, word.epoch == claimed_.epoch ? claimed_.taken : Epoch::begin(word.epoch));
}

void ThreadBlock::release_sets() noexcept {
  Word word = look();
  while (word.state == State::open) {
    OverloadSet& idle = sets_[word.set ^ 1];
    idle.clear();
    idle.release();
    stolen_is_uncleared_ = false;
    OverloadSet& busy = sets_[word.set];
    if (exchange(word, {word.epoch, word.taken, State::open, static_cast<std::uint8_t>(word.set ^ 1), false})) {
      busy.clear();
      busy.release();
      return;
    }
  }
}

void ThreadBlock::start_over() noexcept {
  drop_queue_ends();
  spare = nullptr;
  generation = 0;
  for (OverloadSet& set : sets_) set.start_over();
  claimed_ = previous_ = {};
  marked_epoch_ = 0;
  stolen_is_uncleared_ = false;
  word_.store(Word{Epoch::kFirst, 0, State::open, 0, false}.bits(),
              std::memory_order_relaxed);  // [relaxed: no other thread knows it before settled]
  open(first_chunk_);
}

}  // namespace pepper::detail
