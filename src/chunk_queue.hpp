#pragma once

#include <cstddef>
#include <memory>

namespace pepper::detail {

struct Chunk;

/// Chunks on their way: moodycamel's queue behind a wall, so that its header is compiled once and nothing else sees it.
/// try_push and try_pop are lock-free and never allocate; a try may fail, and the caller has a way to go then.
class ChunkQueue {
 public:
  /// One pushing thread's end. Used by one thread at a time.
  class Producer {
   public:
    Producer() noexcept;
    Producer(Producer&&) noexcept;
    Producer& operator=(Producer&&) noexcept;
    ~Producer();

   private:
    friend ChunkQueue;
    struct Token;
    std::unique_ptr<Token> token_;
  };

  ChunkQueue();
  ~ChunkQueue();
  ChunkQueue(const ChunkQueue&) = delete;
  ChunkQueue& operator=(const ChunkQueue&) = delete;

  /// A producer that can have `capacity` chunks under way without ever allocating. Throws std::bad_alloc. Chunks of other producers
  /// may be popped meanwhile; a popper may meet a null and skips it.
  [[nodiscard]] Producer make_producer(std::size_t capacity);
  [[nodiscard]] static std::size_t producer_bytes(std::size_t capacity) noexcept;

  /// Begins anew, with no producers and no chunks: for a child whose parent's threads were in the middle of anything here. Those it has had
  /// must no longer be used. What was is kept as it is, for good: taking it down would mean to understand it. Throws std::bad_alloc.
  void abandon();

  [[nodiscard]] bool try_push(Producer&, Chunk*) noexcept;
  /// For the cold side: allocates where it must. Throws std::bad_alloc.
  void push(Producer&, Chunk*);

  [[nodiscard]] bool try_pop(Chunk*&) noexcept;
  /// Pops what `from` pushed, first in, first out. Finds what was pushed before the call.
  [[nodiscard]] bool try_pop_from(const Producer& from, Chunk*&) noexcept;

 private:
  struct Queue;
  std::unique_ptr<Queue> queue_;
};

}  // namespace pepper::detail
