#include "runtime/executor.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/fork.h"
#include "ops/core/infer.h"
#include "runtime/pack_store.h"
#include "tensor/device_buffer.h"

namespace fastort {
namespace {

// A subgraph with its own plans.
class ExecutorBody final : public Body {
 public:
  ExecutorBody(std::shared_ptr<const Graph> graph, const EngineOptions& options, PackStore& packs, size_t cache_bytes,
               const KernelChoice& choice, bool keep_types, std::shared_ptr<const DeviceProvider> device)
      : executor_(std::make_shared<Executor>(std::make_shared<Program>(std::move(graph)), options, packs, cache_bytes,
                                             choice, keep_types, std::move(device), true)) {}

  const std::shared_ptr<Executor>& executor() const { return executor_; }

  std::vector<Value> run(std::vector<Value> inputs, const Parallel& parallel) override {
    std::vector<Value> outputs(executor_->program().graph().outputs.size());
    const Observed observed(ObserverScope::current(), executor_->program().graph());
    executor_->run(inputs, outputs, parallel, observed.observer);
    return outputs;
  }

 private:
  struct Observed {
    Observed(StepObserver* of, const Graph& body) : observer(of) {
      if (observer) observer->enter(body);
    }
    ~Observed() {
      if (observer) observer->leave();
    }
    Observed(const Observed&) = delete;
    Observed& operator=(const Observed&) = delete;
    StepObserver* const observer;
  };

  std::shared_ptr<Executor> executor_;
};

}  // namespace

size_t PlanCache::Hash::operator()(const Key* key) const {
  uint64_t hash = key->size();
  for (const int64_t word : *key) hash = (hash ^ (hash >> 29) ^ static_cast<uint64_t>(word)) * 0x9e3779b97f4a7c15;
  return static_cast<size_t>(hash ^ (hash >> 32));
}

std::shared_ptr<const Instance> PlanCache::find(const Key& key) {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  const auto found = by_key_.find(&key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return entries_.front().plan;
}

void PlanCache::remove(std::list<Entry>::iterator entry) {
  by_key_.erase(&entry->key);
  entries_.erase(entry);
}

void PlanCache::insert(const Key& key, std::shared_ptr<const Instance> plan) {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  bytes_ += plan->footprint() + key.size() * sizeof(int64_t);
  entries_.push_front({key, std::move(plan)});
  by_key_.emplace(&entries_.front().key, entries_.begin());
  while (entries_.size() > 1 && (bytes_ > max_bytes_ || entries_.size() > kMaxPlans)) {
    bytes_ -= entries_.back().plan->footprint() + entries_.back().key.size() * sizeof(int64_t);
    remove(std::prev(entries_.end()));
  }
}

size_t PlanCache::size() const {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  return entries_.size();
}

size_t PlanCache::bytes() const {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  return bytes_;
}

void PlanCache::clear() {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  by_key_.clear();
  entries_.clear();
  bytes_ = 0;
}

size_t PlanCache::trim() {
  std::list<Entry> dropped;  // destroyed outside of the lock
  size_t freed = 0;
  const ForkGuard guard;
  {
    std::lock_guard lock(mutex_);
    std::vector<int> begins;
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      const auto here = entry++;
      if (std::find(begins.begin(), begins.end(), here->plan->begin) == begins.end()) {
        begins.push_back(here->plan->begin);
        continue;
      }
      freed += here->plan->footprint() + here->key.size() * sizeof(int64_t);
      by_key_.erase(&here->key);
      dropped.splice(dropped.end(), entries_, here);
    }
    bytes_ -= freed;
  }
  return freed;
}

std::vector<std::shared_ptr<const Instance>> PlanCache::all() const {
  const ForkGuard guard;
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<const Instance>> plans;
  for (const Entry& entry : entries_) plans.push_back(entry.plan);
  std::sort(plans.begin(), plans.end(), [](const auto& a, const auto& b) { return a->begin < b->begin; });
  return plans;
}

// Everything that one run in flight owns.
struct Executor::Activation {
  struct Segment {
    PlanCache::Key key;
    std::unique_ptr<CpuContext> context;
    uint64_t used = 0;
  };
  // Contexts kept for shapes seen lately.
  static constexpr size_t kMaxSegments = 8;

  std::vector<Value> values;  // by value id
  std::vector<Segment> segments;
  PlanCache::Key key;  // scratch
  std::shared_ptr<Buffer> arena;
  uint64_t clock = 0;
};

Executor::Executor(std::shared_ptr<const Program> program, const EngineOptions& options, PackStore& packs,
                   size_t plan_cache_bytes, KernelChoice choice, bool keep_types,
                   std::shared_ptr<const DeviceProvider> device, bool is_body)
    : program_(std::move(program)),
      options_(options),
      packs_(packs),
      device_(std::move(device)),
      plans_(plan_cache_bytes),
      choice_(std::move(choice)),
      keep_types_(keep_types),
      is_body_(is_body) {}

Executor::~Executor() { trim(); }

std::unique_ptr<Executor::Activation> Executor::take() {
  for (auto& slot : idle_) {
    if (slot.load(std::memory_order_relaxed) == nullptr) continue;
    if (Activation* activation = slot.exchange(nullptr, std::memory_order_acquire)) {
      return std::unique_ptr<Activation>(activation);
    }
  }
  auto activation = std::make_unique<Activation>();
  activation->values.resize(program_->graph().values.size());
  return activation;
}

void Executor::give(std::unique_ptr<Activation> activation) {
  for (auto& slot : idle_) {
    Activation* expected = nullptr;
    if (slot.compare_exchange_strong(expected, activation.get(), std::memory_order_release,
                                     std::memory_order_relaxed)) {
      activation.release();
      return;
    }
  }
}

size_t Executor::trim() {
  size_t bytes = plans_.trim();
  {
    const ForkGuard guard;
    const std::lock_guard lock(planning_);
    planners_.clear();
  }
  for (auto& slot : idle_) {
    const std::unique_ptr<Activation> activation(slot.exchange(nullptr, std::memory_order_acquire));
    if (activation && activation->arena) bytes += activation->arena->bytes();
  }
  return bytes;
}

size_t Executor::idle_arena_bytes() {
  size_t bytes = 0;
  for (auto& slot : idle_) {
    // Taken out, because a run could change it.
    std::unique_ptr<Activation> activation(slot.exchange(nullptr, std::memory_order_acquire));
    if (!activation) continue;
    if (activation->arena) bytes += activation->arena->bytes();
    give(std::move(activation));
  }
  return bytes;
}

namespace {

// A result on the device where the caller wants it: in the memory that was bound, where it fits.
Tensor placed(const Tensor& result, const Tensor& bound, DeviceBuffer& wanted, bool shared) {
  if (result.buffer() == bound.buffer()) return result;
  if (result.type() == DataType::String)
    invalid_argument("an output of strings cannot lie on the device '" + std::string(wanted.device_name()) + "'");
  if (!wanted.is_request() && result.type() == bound.type() && result.shape() == bound.shape()) {
    if (result.bytes() == 0) return bound;
    if (const DeviceBuffer* from = device_buffer(result))
      wanted.copy_from(*from);
    else
      wanted.write(result.raw());
    return bound;
  }
  const DeviceBuffer* lies = device_buffer(result);
  return lies && lies->device() == wanted.device() && !shared ? result : on_device(result, wanted);
}

// Appends what a plan depends on: where it starts, and of each value its type, shape and, where needed, contents.
void make_key(const Program& program, int begin, std::span<const Value> values, PlanCache::Key& key) {
  key.clear();
  key.push_back(begin);
  for (ValueId id : program.live_in(begin)) {
    const Value& value = values[static_cast<size_t>(id)];
    if (!value.is_tensor()) {
      key.push_back(-1);
      continue;
    }
    const Tensor& tensor = value.tensor();
    key.push_back(static_cast<int64_t>(tensor.type()) << 32 | tensor.shape().rank());
    key.insert(key.end(), tensor.shape().begin(), tensor.shape().end());
    if (!program.needs_value(id) || tensor.type() == DataType::String) continue;
    const size_t words = (tensor.bytes() + sizeof(int64_t) - 1) / sizeof(int64_t);
    const size_t at = key.size();
    key.resize(at + words, 0);
    if (words) std::memcpy(key.data() + at, tensor.raw(), tensor.bytes());
  }
}

}  // namespace

std::shared_ptr<const Instance> Executor::plan_for(const Activation& activation, int begin) {
  if (auto plan = plans_.find(activation.key)) return plan;
  const ForkGuard guard;
  std::lock_guard lock(planning_);
  if (auto plan = plans_.find(activation.key)) return plan;
  const CustomOpsScope scope(program_->custom_ops());
  std::vector<PlanInput> inputs;
  for (ValueId id : program_->live_in(begin)) {
    const Value& value = activation.values[static_cast<size_t>(id)];
    PlanInput& input = inputs.emplace_back();
    input.id = id;
    input.is_tensor = value.is_tensor();
    if (!input.is_tensor) continue;
    input.type = value.tensor().type();
    input.shape = value.tensor().shape();
    if (program_->needs_value(id)) input.value = &value.tensor();
  }
  const PlanServices services{options_,
                              packs_,
                              [this](const std::shared_ptr<Graph>& body) {
                                auto made = std::make_shared<ExecutorBody>(body, options_, packs_, size_t{8} << 20,
                                                                           choice_, keep_types_, device_);
                                std::erase_if(bodies_, [](const auto& old) { return old.expired(); });
                                bodies_.push_back(made->executor());
                                return made;
                              },
                              keep_types_,
                              device_.get(),
                              choice_,
                              is_body_,
                              {}};
  auto& planner = planners_[begin];
  if (!planner) planner = std::make_unique<Planner>(*program_, begin);
  auto plan = planner->plan(inputs, services);
  plans_.insert(activation.key, plan);
  if (auto* const own = dynamic_cast<SessionPackStore*>(&packs_)) own->settle();
  return plan;
}

std::vector<std::shared_ptr<Executor>> Executor::bodies() {
  const ForkGuard guard;
  std::lock_guard lock(planning_);
  std::vector<std::shared_ptr<Executor>> alive;
  for (const auto& body : bodies_)
    if (auto executor = body.lock()) alive.push_back(std::move(executor));
  return alive;
}

CpuContext& Executor::context_for(Activation& activation, int begin, const Parallel&) {
  make_key(*program_, begin, activation.values, activation.key);
  for (auto& segment : activation.segments) {
    if (segment.key != activation.key) continue;
    segment.used = ++activation.clock;
    return *segment.context;
  }
  Activation::Segment fresh;
  fresh.context = std::make_unique<CpuContext>(plan_for(activation, begin), program_->graph());
  fresh.key = activation.key;
  fresh.used = ++activation.clock;
  if (activation.segments.size() < Activation::kMaxSegments) {
    activation.segments.push_back(std::move(fresh));
    return *activation.segments.back().context;
  }
  auto oldest = std::min_element(activation.segments.begin(), activation.segments.end(),
                                 [](const auto& a, const auto& b) { return a.used < b.used; });
  *oldest = std::move(fresh);
  return *oldest->context;
}

// Returns the activation and drops the run's values, whether the run ends well or not.
struct Executor::Lease {
  Executor& executor;
  std::unique_ptr<Activation> activation;
  ~Lease() {
    for (Value& value : activation->values) {
      if (!value.empty()) value = Value();
    }
    executor.give(std::move(activation));
  }
};

void Executor::run(std::span<const Value> inputs, std::span<Value> outputs, const Parallel& parallel,
                   StepObserver* observer) {
  const Graph& graph = program_->graph();
  Lease lease{*this, take()};
  Activation& activation = *lease.activation;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].empty()) activation.values[static_cast<size_t>(graph.outputs[i])] = outputs[i];
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ValueId id = graph.inputs[i];
    Value& value = activation.values[static_cast<size_t>(id)];
    value = inputs[i];
    // Plans are made from the contents of some.
    if (value.is_tensor() && program_->needs_value(id)) value = on_host(value.tensor());
  }

  const int count = static_cast<int>(graph.nodes.size());
  for (int begin = 0; begin < count;) {
    CpuContext& context = context_for(activation, begin, parallel);
    const size_t bytes = context.plan().arena_bytes;
    if (bytes && (!activation.arena || activation.arena->bytes() < bytes)) {
      // An arena that had to grow will grow again (a longer text, a longer past): some room spares it the next times.
      const size_t room = activation.arena ? bytes / 4 : 0;
      activation.arena.reset();
      activation.arena = Buffer::allocate(bytes + room);
    }
    context.run(activation.values, activation.arena ? activation.arena->data() : nullptr, parallel, observer);
    begin = context.plan().end;
  }
  finish(activation, inputs, outputs);
}

void Executor::finish(Activation& activation, std::span<const Value> inputs, std::span<Value> outputs) {
  const Graph& graph = program_->graph();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ValueId id = graph.outputs[i];
    Value value = activation.values[static_cast<size_t>(id)];
    // What stands in the place of a constant is what the caller bound.
    const bool constant = graph.constant(id) != nullptr;
    if (constant) value = *graph.constant(id);
    if (value.is_tensor()) {
      const Tensor& tensor = value.tensor();
      const bool bound = outputs[i].is_tensor() && outputs[i].tensor().identity() == tensor.identity();
      // An output that is an input, a weight or a second name of another output is a copy. Two references are the
      // activation's and this function's.
      bool shared = constant || (tensor.buffer() && tensor.buffer().use_count() > 2);
      for (size_t k = 0; k < i && !shared; ++k) {
        shared = outputs[k].is_tensor() && outputs[k].tensor().identity() == tensor.identity() && tensor.bytes() != 0;
      }
      for (const Value& input : inputs) {
        shared |= input.is_tensor() && input.tensor().identity() == tensor.identity() && tensor.bytes() != 0;
      }
      if (DeviceBuffer* wanted = outputs[i].is_tensor() ? device_buffer(outputs[i].tensor()) : nullptr)
        value = placed(tensor, outputs[i].tensor(), *wanted, shared);
      else if (shared && !bound)
        value = copy_of(tensor);
      // What a subgraph left on the device for others is nothing for the caller.
      if (!is_body_ && value.is_tensor() && (!outputs[i].is_tensor() || !device_buffer(outputs[i].tensor())))
        value = on_host(value.tensor());
    }
    outputs[i] = std::move(value);
  }
}

}  // namespace fastort
