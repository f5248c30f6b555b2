#include "internals.hpp"
#include "single_step.hpp"

using namespace internals;
using How = ThreadBlock::Claim::How;
using Epoch = ThreadBlock::Epoch;

namespace {

constexpr std::uint64_t kFirstEpoch = Epoch::kFirst, kSecondEpoch = Epoch::next(kFirstEpoch, false);

}  // namespace

TEST_CASE("an epoch says how many records came before its chunk, and chunks' epochs and stamps go up") {
  std::uint64_t position = 0, epoch = Epoch::kFirst;
  for (int i = 0; i < 1000; ++i) {
    const bool is_short = i % 3 == 0 || i % 7 == 0;
    const std::uint32_t begin = Epoch::begin(epoch);
    CHECK(Epoch::position(epoch, begin) == position);
    CHECK(Epoch::position(epoch, kChunkRecords) == position + kChunkRecords - begin);
    position += kChunkRecords - begin;
    const std::uint64_t next = Epoch::next(epoch, is_short);
    CHECK((next >> 2) > (epoch >> 2));
    CHECK(Epoch::begin(next) == (is_short ? kChunkRecords / 3 : 0));
    epoch = next;
  }
}

TEST_CASE("after a fold of its own a thread fills two thirds of its chunk, so that its next fold is shorter") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  const std::uint64_t before = driver.records;
  driver.record_up_to(kChunkRecords);
  CHECK(driver.records - before == kChunkRecords * 2 / 3);
  driver.look();
  driver.seal();
  REQUIRE(driver.is_sealed);
  const std::uint64_t sealed = driver.records;
  driver.record_up_to(kChunkRecords);
  CHECK(driver.records - sealed == kChunkRecords);
  driver.look();
  CHECK(driver.taken == driver.recorded);
  CHECK(driver.block.position() == driver.records);
}

TEST_CASE("a short chunk that no look has met is taken from where it begins") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  driver.record_up_to(kChunkRecords);
  driver.seal();  // as after a change of the policy
  REQUIRE(driver.is_sealed);
  driver.record_up_to(3);
  driver.look();
  CHECK(driver.taken == driver.recorded);
  CHECK(driver.block.taken_position() == driver.records);
}

TEST_CASE("a look takes what is in the open chunk, and the next one only what came after") {
  Driver driver;
  driver.record_up_to(10);
  CHECK(driver.claim().records == 10);
  CHECK(driver.taken == driver.recorded);
  CHECK(driver.claim().records == 0);
  driver.record_up_to(13);
  const ThreadBlock::Claim claim = driver.claim();
  CHECK(claim.records == 3);
  CHECK(claim.how == How::no_set);
  CHECK(driver.taken == driver.recorded);
}

TEST_CASE("a full chunk is taken while the cursor still stands behind its end, and not again out of the queue") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  REQUIRE(driver.is_full());
  CHECK(driver.claim().records == kChunkRecords);
  CHECK(driver.claim().records == 0);
  driver.seal();
  REQUIRE(driver.is_sealed);
  CHECK(driver.block.taken_of(kFirstEpoch) == kChunkRecords);
  driver.drain();
  CHECK(driver.taken == driver.recorded);
}

TEST_CASE("a sealed chunk is taken out of the queue, and its owner's next one from the cursor") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  driver.seal();
  driver.record_up_to(7);
  CHECK(driver.claim().records == 7);
  CHECK(driver.block.taken_of(kFirstEpoch) == 0);
  CHECK(driver.block.taken_of(kSecondEpoch) == 7);
  driver.drain();
  CHECK(driver.taken == driver.recorded);
}

TEST_CASE("what was taken of a chunk is known until the chunk comes out of the queue, one claim of the next chunk later") {
  Driver driver;
  driver.record_up_to(10);
  (void)driver.claim();
  driver.record_up_to(kChunkRecords);
  driver.seal();
  driver.record_up_to(5);
  (void)driver.claim();
  driver.record_up_to(6);
  (void)driver.claim();
  CHECK(driver.block.taken_of(kFirstEpoch) == 10);
  CHECK(driver.block.taken_of(kSecondEpoch) == 6);
  driver.drain();
  CHECK(driver.taken == driver.recorded);
}

TEST_CASE("a chunk has been left once the word says so") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  CHECK_FALSE(driver.block.has_left(kFirstEpoch));
  driver.seal();
  CHECK(driver.block.has_left(kFirstEpoch));
  CHECK_FALSE(driver.block.has_left(kSecondEpoch));
}

TEST_CASE("without a free chunk the records go to the thread's own set, which a look flips") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  CHECK_FALSE(driver.is_full());
  const ThreadBlock::Claim claim = driver.claim();
  CHECK(claim.how == How::flipped);
  CHECK(claim.records == 0);
  CHECK(driver.taken == driver.recorded);
  CHECK(driver.claim().how == How::no_set);
}

TEST_CASE("a fold leaves out what a look has taken of its chunk before") {
  Driver driver;
  driver.record_up_to(100);
  CHECK(driver.claim().records == 100);
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  driver.record_up_to(3);
  const ThreadBlock::Claim claim = driver.claim();
  CHECK(claim.how == How::flipped);
  CHECK(claim.records == 3);
  CHECK(driver.taken == driver.recorded);
}

TEST_CASE("folds add up between two looks, on either side of a seal, in both sets") {
  Driver driver;
  for (int round = 0; round < 6; ++round) {
    for (int fold = 0; fold < 3; ++fold) {
      driver.record_up_to(kChunkRecords);
      driver.fold_own();
    }
    driver.record_up_to(kChunkRecords);
    driver.seal();
    driver.record_up_to(kChunkRecords);
    driver.fold_own();
    driver.record_up_to(static_cast<std::uint32_t>(round));
    driver.look();
    CHECK(driver.taken == driver.recorded);
  }
}

TEST_CASE("a chunk that is dropped is counted whole, less what a look has taken of it before") {
  Driver driver;
  driver.record_up_to(55);
  (void)driver.claim();
  driver.record_up_to(kChunkRecords);
  driver.lose_own();
  driver.look();
  CHECK(driver.lost == 200);
  CHECK(driver.all_taken().count == 55);
}

TEST_CASE("the position counts every record, whatever became of it") {
  Driver driver;
  const auto check = [&driver] { CHECK(driver.block.position() == driver.records); };
  check();
  driver.record_up_to(3);
  check();
  (void)driver.claim();
  check();
  driver.record_up_to(kChunkRecords);
  check();
  driver.seal();
  check();
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  check();
  driver.record_up_to(kChunkRecords);
  driver.lose_own();
  check();
  driver.record_up_to(9);
  driver.look();
  check();
  CHECK(driver.block.taken_position() == driver.records);
}

TEST_CASE("a parked cursor stands at the end of a full chunk: nothing of it is missed or moved") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  driver.cursor = kParked;
  CHECK(driver.block.position() == kChunkRecords);
  CHECK(driver.claim().records == kChunkRecords);
  CHECK(driver.claim().records == 0);
  driver.cursor = 0;  // as it is unparked
  CHECK(driver.block.position() == kChunkRecords);
  driver.seal();
  driver.record_up_to(4);
  driver.look();
  CHECK(driver.taken == driver.recorded);
}

TEST_CASE("an exchange asked for is made even where there is nothing to take, and changes nothing else") {
  Driver driver;
  Chunk buffer;
  driver.record_up_to(20);
  CHECK(driver.block.claim(buffer.records, true).records == 20);
  const ThreadBlock::Claim again = driver.block.claim(buffer.records, true);
  CHECK(again.records == 0);
  CHECK(again.how == How::no_set);
  CHECK(driver.block.position() == 20);
}

TEST_CASE("released sets hold nothing, cost nothing and are good for the next fold") {
  Driver driver;
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  (void)driver.claim();
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  CHECK(driver.budget.used() > 0);
  driver.block.release_sets();
  CHECK(driver.budget.used() == 0);
  CHECK(driver.claim().how == How::no_set);
  driver.taken = driver.recorded;  // what was in the set is gone with it
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  driver.look();
  CHECK(driver.taken == driver.recorded);
}

namespace {

/// Fills the open chunk. With an empty set, all but three records have been taken already: so a fold is short enough to be stopped
/// everywhere.
void make_full(Driver& driver, bool is_set_dirty) {
  driver.look();
  if (is_set_dirty) {
    driver.record_up_to(kChunkRecords);
    driver.fold_own();
  } else {
    driver.record_up_to(kChunkRecords - 3);
    driver.look();
  }
  while (!driver.is_full()) driver.record(1, static_cast<double>(driver.records % 1000 + 1));
}

using Step = void (*)(Driver&);

/// Stops `body` after each of its instructions, has `meanwhile` happen, and wants every record exactly once. Returns what claims were seen.
std::array<bool, 4> check_every_step(bool is_set_dirty, Step body, Step meanwhile) {
  Driver driver;
  std::size_t wrong = 0, first_wrong = 0;
  const std::size_t rounds = single_step::for_each_step([&](std::size_t steps) {
    make_full(driver, is_set_dirty);
    const bool was_stopped = single_step::run(
        steps, [&] { body(driver); }, [&] { meanwhile(driver); });
    driver.record_up_to(kChunkRecords);
    driver.fold_own();  // into whichever set it takes for its own now
    driver.look();
    driver.look();
    const bool is_right = driver.taken == driver.recorded && driver.block.position() == driver.records;
    if (!is_right && wrong++ == 0) first_wrong = steps;
    driver.taken = driver.recorded;
    return was_stopped;
  });
  CAPTURE(is_set_dirty);
  INFO(rounds << " rounds, the first wrong one after " << first_wrong << " steps");
  CHECK(wrong == 0);
  CHECK(rounds >= (single_step::kIsPossible ? 5 : 1));
  return driver.has_seen;
}

void fold(Driver& driver) { driver.fold_own(); }
void seal(Driver& driver) { driver.seal(); }
/// As a thread does that was parked at its full chunk and comes back.
void seal_after_parking(Driver& driver) {
  driver.cursor = 0;
  driver.seal();
}
void look(Driver& driver) { driver.look(); }
void look_twice(Driver& driver) {
  driver.look();
  driver.look();
}
void fold_and_go_on(Driver& driver) {
  if (driver.is_full()) driver.fold_own();
  driver.record_up_to(2);
}
void fold_seal_fold(Driver& driver) {
  if (driver.is_full()) driver.fold_own();
  driver.record_up_to(kChunkRecords);
  driver.seal();
  driver.record_up_to(kChunkRecords);
  driver.fold_own();
  driver.record_up_to(1);
}
void seal_and_go_on(Driver& driver) {
  driver.seal();
  driver.record_up_to(2);
}

}  // namespace

TEST_CASE("a look at any instruction of a fold takes every record once") {
  for (const bool is_set_dirty : {false, true}) {
    const std::array<bool, 4> seen = check_every_step(is_set_dirty, fold, look_twice);
    if (!single_step::kIsPossible) continue;
    CHECK(seen[static_cast<std::size_t>(How::flipped)]);
    CHECK(seen[static_cast<std::size_t>(How::stolen_while_preparing)]);
    CHECK(seen[static_cast<std::size_t>(How::stolen_while_folding)]);
  }
}

TEST_CASE("a look at any instruction of a hand-over takes every record once") {
  for (const bool is_set_dirty : {false, true}) check_every_step(is_set_dirty, seal, look_twice);
}

TEST_CASE("a look at any instruction of the hand-over of a thread that was parked takes every record once") {
  for (const bool is_set_dirty : {false, true}) check_every_step(is_set_dirty, seal_after_parking, look_twice);
}

TEST_CASE("a thread that goes on at any instruction of a look loses nothing to it") {
  for (const Step meanwhile : {fold_and_go_on, seal_and_go_on, fold_seal_fold}) check_every_step(false, look, meanwhile);
  check_every_step(true, look, fold_seal_fold);
}

TEST_CASE("a stolen fold that goes on does no harm while the next look asks") {
  // The owner stops in its fold, is robbed, does not move for two looks more, and moves on during the one after that.
  Driver driver;
  make_full(driver, true);
  const auto robbed = [&driver] {
    for (int i = 0; i < 3; ++i) driver.look();
  };
  if (single_step::kIsPossible)
    CHECK(single_step::run(
        60, [&] { driver.fold_own(); }, robbed));
  for (int i = 0; i < 5; ++i) fold_seal_fold(driver);
  driver.look();
  CHECK(driver.taken == driver.recorded);
}
