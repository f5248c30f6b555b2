#include "chunk_queue.hpp"

#include <concurrentqueue/concurrentqueue.h>

#include <new>
#include <utility>

namespace pepper::detail {

struct ChunkQueue::Queue {
  moodycamel::ConcurrentQueue<Chunk*> chunks{1};  // one block: each producer brings its own, see make_producer()
  Queue* abandoned = nullptr;
};

struct ChunkQueue::Producer::Token {
  moodycamel::ProducerToken token;
};

ChunkQueue::Producer::Producer() noexcept = default;
ChunkQueue::Producer::Producer(Producer&&) noexcept = default;
ChunkQueue::Producer& ChunkQueue::Producer::operator=(Producer&&) noexcept = default;
ChunkQueue::Producer::~Producer() = default;

ChunkQueue::ChunkQueue() : queue_(std::make_unique<Queue>()) {}
ChunkQueue::~ChunkQueue() = default;

void ChunkQueue::abandon() {
  auto fresh = std::make_unique<Queue>();
  fresh->abandoned = queue_.release();
  queue_ = std::move(fresh);
}

ChunkQueue::Producer ChunkQueue::make_producer(std::size_t capacity) {
  Producer producer;
  producer.token_ = std::make_unique<Producer::Token>(Producer::Token{moodycamel::ProducerToken{queue_->chunks}});
  if (!producer.token_->token.valid()) throw std::bad_alloc{};
  // The queue grows a producer's blocks only by allocating pushes, and keeps them for that producer. So push as many nulls as it will ever
  // have under way, and pop them again; one block more, as the first and the last may both be partly used.
  constexpr std::size_t kBlock = moodycamel::ConcurrentQueueDefaultTraits::BLOCK_SIZE;
  const std::size_t nulls = (capacity / kBlock + 3) * kBlock;
  for (std::size_t i = 0; i < nulls; ++i) push(producer, nullptr);
  for (Chunk* null = nullptr; try_pop_from(producer, null);) continue;
  return producer;
}

std::size_t ChunkQueue::producer_bytes(std::size_t capacity) noexcept { return (capacity + 96) * sizeof(Chunk*) * 3 / 2 + 1024; }

bool ChunkQueue::try_push(Producer& producer, Chunk* chunk) noexcept { return queue_->chunks.try_enqueue(producer.token_->token, chunk); }

void ChunkQueue::push(Producer& producer, Chunk* chunk) {
  if (!queue_->chunks.enqueue(producer.token_->token, chunk)) throw std::bad_alloc{};
}

bool ChunkQueue::try_pop(Chunk*& chunk) noexcept { return queue_->chunks.try_dequeue(chunk); }

bool ChunkQueue::try_pop_from(const Producer& from, Chunk*& chunk) noexcept {
  return queue_->chunks.try_dequeue_from_producer(from.token_->token, chunk);
}

}  // namespace pepper::detail
