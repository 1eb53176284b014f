#pragma once

#include <array>
#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "providers/cpu/context.h"

namespace fastort {

// Plans by the shapes (and needed values) that they were made for, least recently used ones dropped above a bound.
class PlanCache {
 public:
  using Key = std::vector<int64_t>;
  explicit PlanCache(size_t max_bytes) : max_bytes_(max_bytes) {}
  // nullptr where there is none.
  std::shared_ptr<const Instance> find(const Key& key);
  void insert(const Key& key, std::shared_ptr<const Instance> plan);
  size_t size() const;
  size_t bytes() const;
  void clear();
  // Drops all plans but the latest one for each place that plans start at; returns their bytes.
  size_t trim();
  std::vector<std::shared_ptr<const Instance>> all() const;

 private:
  struct Entry {
    Key key;
    std::shared_ptr<const Instance> plan;
  };
  struct Hash {
    size_t operator()(const Key* key) const;
  };
  struct Equal {
    bool operator()(const Key* a, const Key* b) const { return *a == *b; }
  };
  static constexpr size_t kMaxPlans = 512;

  void remove(std::list<Entry>::iterator entry);

  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<const Key*, std::list<Entry>::iterator, Hash, Equal> by_key_;
  size_t bytes_ = 0;
  size_t max_bytes_;
};

// Runs a program: finds or makes the plans for the shapes at hand and walks them. Any number of threads may run at
// once; each takes a context, of which some are kept for reuse.
class Executor {
 public:
  // `keep_types`: plans tell profiles their nodes' types and shapes. `device`: nullptr for the CPU alone.
  Executor(std::shared_ptr<const Program> program, const EngineOptions& options, PackStore& packs,
           size_t plan_cache_bytes, KernelChoice choice = {}, bool keep_types = false,
           std::shared_ptr<const DeviceProvider> device = nullptr, bool is_body = false);
  ~Executor();

  const Program& program() const { return *program_; }
  const std::shared_ptr<const Program>& shared_program() const { return program_; }
  PlanCache& plans() { return plans_; }

  // `inputs` in the order of the graph's inputs. `outputs` in the order of its outputs: an empty one is filled, a
  // tensor is written into where type and shape fit.
  void run(std::span<const Value> inputs, std::span<Value> outputs, const Parallel& parallel, StepObserver* observer);

  // The subgraphs' executors that there are, of this graph's nodes.
  std::vector<std::shared_ptr<Executor>> bodies();

  // Frees what idle contexts hold and all plans but the latest; returns the bytes freed.
  size_t trim();
  // Bytes of the arenas of idle contexts.
  size_t idle_arena_bytes();

 private:
  struct Activation;
  struct Lease;

  std::unique_ptr<Activation> take();
  void give(std::unique_ptr<Activation> activation);
  CpuContext& context_for(Activation& activation, int begin, const Parallel& parallel);
  std::shared_ptr<const Instance> plan_for(const Activation& activation, int begin);
  void finish(Activation& activation, std::span<const Value> inputs, std::span<Value> outputs);

  std::shared_ptr<const Program> program_;
  EngineOptions options_;
  PackStore& packs_;
  std::shared_ptr<const DeviceProvider> device_;
  PlanCache plans_;
  KernelChoice choice_;
  bool keep_types_;
  bool is_body_;
  std::mutex planning_;
  std::map<int, std::unique_ptr<Planner>> planners_;  // by the node that plans start at
  std::vector<std::weak_ptr<Executor>> bodies_;
  std::array<std::atomic<Activation*>, 16> idle_{};
};

}  // namespace fastort
