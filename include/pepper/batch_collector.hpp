#pragma once

#include <pepper/collector.hpp>
#if defined(PEPPER_DISABLED)
#include <pepper/detail/disabled_layers.hpp>
#else
#include <pepper/detail/eager_handle.hpp>
#include <pepper/detail/layer.hpp>
#include <pepper/detail/pending_records.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pepper {

namespace detail {

/// What a BatchCollector keeps. Its handles point here.
template <class Inner>
class Batch {
 public:
  explicit Batch(std::size_t size) : size_(size), records_(kIsCore ? size : 1) {
    if constexpr (!kIsCore) values_.reserve(size);
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  /// Of a handle of the collector itself: its records are appended as they are.
  void push(const Target& target, std::uint32_t extra, double value) noexcept {
    if (target.place == kTimedPlace) [[unlikely]] {  // the time is now
      records_.hand_over();
      return capture_span(target.place, target.head, &value, 1);
    }
    records_.push(target.place, target.head | std::uint64_t{extra} << 32, value);
  }
  /// What a layer's handle is told in the end.
  struct Bound {
    virtual ~Bound() = default;
    virtual void record(double value) const noexcept = 0;
  };
  template <class B>
  [[nodiscard]] const Bound* keep(std::unique_ptr<B> bound) {
    return bound_.emplace_back(std::move(bound)).get();
  }
  void push(const Bound& bound, double value) noexcept {
    values_.push_back({&bound, value});
    if (values_.size() == size_) hand_over_bound();
  }
  /// False: no memory.
  [[nodiscard]] bool try_push(Inner& inner, const DynamicRecord& record) noexcept {
    if (!metrics_.try_push(record)) return false;
    if (metrics_.all().size() == size_) hand_over(inner);
    return true;
  }
  void hand_over(Inner& inner) noexcept {
    records_.hand_over();
    hand_over_bound();
    for (const PendingMetrics::Weighted& of : metrics_.all())
      Layers::record(inner, {of.metric.name, of.metric.value, of.metric.tags, of.metric.metadata, of.metric.timestamp, of.weight});
    metrics_.clear();
  }

 private:
  static constexpr bool kIsCore = std::same_as<Inner, MetricsCollector>;
  struct Value {
    const Bound* bound;
    double value;
  };

  void hand_over_bound() noexcept {
    for (const Value& value : values_) value.bound->record(value.value);
    values_.clear();
  }

  std::size_t size_;
  PendingRecords records_;
  std::vector<Value> values_;
  PendingMetrics metrics_;
  std::vector<std::unique_ptr<Bound>> bound_;
};

/// A handle whose records wait in a batch.
template <class Handle, class Inner>
class Batched : public EagerHandle<Batched<Handle, Inner>, Handle> {
 public:
  constexpr Batched() noexcept = default;
  Batched(Handle handle, Batch<Inner>& batch) : batch_(&batch), handle_(handle) {
    if constexpr (!kIsCore) bound_ = batch.keep(std::make_unique<Bound>(handle));
  }

 private:
  friend EagerHandle<Batched, Handle>;
  static constexpr bool kIsCore = std::same_as<Inner, MetricsCollector>;
  struct Bound : Batch<Inner>::Bound {
    explicit Bound(Handle of) noexcept : handle(of) {}
    void record(double value) const noexcept override { handle.record(std::span(&value, 1)); }
    Handle handle;
  };

  void take(double value) const noexcept {
    if (batch_ == nullptr) return;
    if constexpr (kIsCore) {
      batch_->push(Layers::target(handle_), Layers::next_extra(handle_), value);
    } else {
      batch_->push(*bound_, value);
    }
  }
  void take(std::span<const double> values) const noexcept {
    for (const double value : values) take(value);
  }

  Batch<Inner>* batch_ = nullptr;
  Handle handle_;
  const typename Batch<Inner>::Bound* bound_ = nullptr;  ///< where Inner is a layer
};

}  // namespace detail

/// Keeps a thread's records by itself and hands them over at once: when there are so many, at flush(), hand_over(), and when it ends, by an
/// exception too. Until then nobody else sees them.
///
///     #include <pepper/pepper.hpp>
///     #include <stdexcept>
///
///     int main() {
///       pepper::MetricsCollector collector;
///       try {
///         pepper::BatchCollector batch{collector, 100};
///         const auto orders = batch.counter("orders");
///         for (int i = 0; i < 250; ++i) orders.add();
///         if (collector.flush()->find("orders")->count != 200) return 1;
///         throw std::runtime_error("out of stock");
///       } catch (const std::runtime_error&) {
///       }
///       return collector.flush()->find("orders")->count == 250 ? 0 : 1;
///     }
///
/// Records of a series with SeriesOptions::timestamps, whose time is now, are handed on at once, with what waits before them. What waits
/// while its collector is disabled is nobody's. Owner thread only, its handles included, which must not outlive it. Records keep their
/// order, but those made by record(name, ...) follow the others of their batch. Over another layer (`BatchCollector{SamplingCollector{...},
/// 100}`) that decides at the hand-over. What is wrapped by reference must outlive it. A scope is timed by `timer.scope()`.
template <detail::Wrappable Inner>
class BatchCollector : public detail::Layer<BatchCollector<Inner>, Inner> {
  using Base = detail::Layer<BatchCollector, Inner>;
  using Batch = detail::Batch<std::remove_reference_t<Inner>>;

 public:
  static constexpr std::size_t kMostRecords = std::size_t{1} << 20;

  /// `batch_size`: records, 1 to 2^20, 16 bytes each, taken now. Throws std::invalid_argument, std::bad_alloc.
  explicit BatchCollector(Inner inner, std::size_t batch_size = 100)
      : Base(std::forward<Inner>(inner)), batch_(std::make_unique<Batch>(detail::checked_batch_size(batch_size))) {}
  BatchCollector(BatchCollector&&) noexcept = default;
  BatchCollector& operator=(BatchCollector&&) = delete;
  ~BatchCollector() {
    if (batch_ != nullptr) hand_over();
  }

  /// Now.
  void hand_over() noexcept { batch_->hand_over(this->inner()); }
  /// Hands over, and flushes what is below.
  std::shared_ptr<const Snapshot> flush() {
    hand_over();
    return this->inner().flush();
  }

 private:
  friend detail::Layers;

  template <class Handle>
  [[nodiscard]] auto bind(std::string_view name, TagsView tags, const SeriesOptions& options, double weight, bool& is_weighted) {
    auto handle = detail::Layers::bind<Handle>(this->inner(), name, tags, options, weight, is_weighted);
    return detail::Batched<decltype(handle), std::remove_reference_t<Inner>>(handle, *batch_);
  }
  /// Copies them: true as long as there is memory; what is refused later is counted in CollectorStats::rejected.
  bool record_weighted(const detail::DynamicRecord& record) noexcept {
    // Where there is no memory for it, at once.
    return batch_->try_push(this->inner(), record) || detail::Layers::record(this->inner(), record);
  }

  std::unique_ptr<Batch> batch_;
};
template <class Inner>
BatchCollector(Inner&&) -> BatchCollector<Inner>;
template <class Inner>
BatchCollector(Inner&&, std::size_t) -> BatchCollector<Inner>;

}  // namespace pepper
#endif  // PEPPER_DISABLED
