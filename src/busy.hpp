#pragma once

#include <cstdint>
#include <thread>

namespace pepper::detail {

/// Says that a thread is inside something, until it comes out or a fork leaves it behind: in the child the thread that forked is still
/// where it was, and no other is anywhere. Thread-compatible: under the lock of what it belongs to.
class Busy {
 public:
  [[nodiscard]] bool is_held() const noexcept { return thread_ != std::thread::id{} && process_ == this_process; }
  [[nodiscard]] bool is_held_here() const noexcept { return is_held() && thread_ == std::this_thread::get_id(); }

  /// One stay. On the stack of the thread, which ends what it began last first.
  class Hold {
   public:
    explicit Hold(Busy& busy) noexcept : busy_(busy) {}
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    void begin() noexcept;
    void end() noexcept;

   private:
    friend Busy;
    Busy& busy_;
    Hold* outer_ = nullptr;
  };

  /// In a child, on the only thread it has.
  static void start_over() noexcept;
  /// Tells a child from its parent: another number on either side of a function that forked.
  [[nodiscard]] static std::uint32_t process() noexcept { return this_process; }

 private:
  /// How many forks it is away from the first.
  static constinit std::uint32_t this_process;
  static constinit thread_local Hold* innermost;

  std::thread::id thread_{};
  std::uint32_t process_ = 0;
};

}  // namespace pepper::detail
