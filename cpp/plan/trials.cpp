#include "plan/trials.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "base/cpu_info.h"
#include "base/parallel.h"
#include "plan/emit.h"
#include "plan/step_list.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

using Clock = std::chrono::steady_clock;

// Times of each option; the first runs, which touch new memory, are not among them.
constexpr int kRounds = 7;
// Options that the cost rule, or the first rounds, take for so much slower than the best are not measured further.
constexpr double kHopeless = 4, kBehind = 2;
// What another option must gain over the cost rule's, and what one costs that did not.
constexpr double kMargin = 0.97, kDoubtful = 1.01;
// Nodes below this many nanoseconds cost little whatever runs them.
constexpr double kWorthwhile = 4000;
// Weights below this many bytes stay in a core's cache from one run to the next.
constexpr size_t kCachedBytes = size_t{128} << 10;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

bool serialise(const Attribute& value, std::string& text) {
  const auto list = [&text](const auto& items) {
    for (const auto& item : items) text += std::to_string(item) + ',';
    return true;
  };
  if (const auto* number = std::get_if<int64_t>(&value)) return list(std::span(number, 1));
  if (const auto* number = std::get_if<float>(&value)) return list(std::span(number, 1));
  if (const auto* items = std::get_if<std::vector<int64_t>>(&value)) return list(*items);
  if (const auto* items = std::get_if<std::vector<float>>(&value)) return list(*items);
  if (const auto* string = std::get_if<std::string>(&value)) {
    text += std::to_string(string->size()) + ':' + *string;
    return true;
  }
  return false;
}

// Packs weights for a trial, and keeps nothing.
class TrialPacks final : public PackStore {
 public:
  std::shared_ptr<Buffer> get(const Tensor&, std::string_view, size_t bytes, FnRef<void(std::byte*)> fill) override {
    auto packed = Buffer::allocate(bytes);
    fill(packed->data());
    return packed;
  }
};

// One option of a node, made ready to be timed.
struct Subject {
  std::unique_ptr<Kernel> kernel;
  std::unique_ptr<KernelState> state;
  std::vector<std::shared_ptr<Buffer>> buffers;
  std::vector<std::byte*> pointers;  // inputs, then outputs
  std::vector<std::pair<std::byte*, size_t>> fed;
  std::shared_ptr<Buffer> workspace;
  std::vector<double> times;
  bool dropped = false;
};

class Trials {
 public:
  explicit Trials(Draft& draft)
      : draft_(draft),
        times_(*draft.services->choice.measured),
        parallel_(ThreadPool::instance(), draft.services->options.threads) {
    size_t constants = 0;
    for (const ValueInfo& value : draft.graph.values)
      if (value.constant) constants += value.constant->bytes();
    cold_ = constants > cache_sizes().l3 / 2;
  }

  bool run() {
    struct Choosable {
      size_t index;
      double cost;
    };
    std::vector<Choosable> nodes;
    for (size_t n = 0; n < draft_.planned.size(); ++n) {
      const PlannedNode& planned = draft_.planned[n];
      if (planned.options.size() > 1) nodes.push_back({n, planned.option().cost});
    }
    // The most expensive ones first, where time may run out.
    std::stable_sort(nodes.begin(), nodes.end(),
                     [](const Choosable& a, const Choosable& b) { return a.cost > b.cost; });
    bool changed = false;
    for (const Choosable& node : nodes) {
      PlannedNode& planned = draft_.planned[node.index];
      const std::vector<size_t> hopeful = hopeful_of(planned);
      if (hopeful.size() < 2) continue;
      const std::optional<std::string> key = describe(planned);
      if (!key) continue;
      std::vector<Trial> trials = times_.find(*key);
      if (trials.empty() && node.cost >= kWorthwhile && times_.seconds_left() > 0) {
        trials = measure(planned, hopeful);
        if (!trials.empty()) times_.add(*key, trials);
      }
      if (!trials.empty()) changed |= apply(planned, trials);
    }
    return changed;
  }

 private:
  static std::vector<size_t> hopeful_of(const PlannedNode& planned) {
    const double best = planned.option().cost;
    std::vector<size_t> hopeful;
    for (size_t o = 0; o < planned.options.size(); ++o)
      if (planned.options[o].cost <= kHopeless * best + kWorthwhile) hopeful.push_back(o);
    return hopeful;
  }

  // All that the times depend on; nothing for strings, and where a node has attributes that have no short text.
  std::optional<std::string> describe(const PlannedNode& planned) const {
    const Node& node = draft_.graph.nodes[static_cast<size_t>(planned.node)];
    std::string text = node.domain + '.' + node.op_type;
    std::vector<std::string> attributes;
    for (const auto& [name, value] : node.attributes) {
      std::string& attribute = attributes.emplace_back(name + '=');
      if (!serialise(value, attribute)) return {};
    }
    std::sort(attributes.begin(), attributes.end());
    for (const std::string& attribute : attributes) text += ' ' + attribute;
    for (const auto& descs : {std::span(planned.inputs), std::span(planned.outputs)}) {
      text += " |";
      for (const TensorDesc& desc : descs) {
        if (desc.type == DataType::String) return {};
        text += ' ' + std::string(name(desc.type)) + to_string(desc.shape);
        if (!desc.constant) continue;
        text += 'c';
        // Axes, sizes and the like.
        if ((desc.type == DataType::Int64 || desc.type == DataType::Int32) && desc.shape.count() <= 64)
          for (const int64_t item : to_int64s(*desc.constant)) text += std::to_string(item) + ',';
      }
    }
    const EngineOptions& options = draft_.services->options;
    text += " | " + std::to_string(options.threads) + (options.allow_winograd ? 'w' : '-') +
            (options.allow_amx ? 'a' : '-') + (options.allow_blocked_layouts ? 'b' : '-') + (cold_ ? 'c' : '-');
    return text;
  }

  Subject ready(const PlannedNode& planned, const Option& option) {
    const Node& node = draft_.graph.nodes[static_cast<size_t>(planned.node)];
    std::vector<TensorDesc> inputs = planned.inputs, outputs = planned.outputs;
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i].layout = input_layout(planned, option, static_cast<int>(i));
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i].layout = output_layout(planned, option, static_cast<int>(i));
    Subject subject;
    const OpContext context{node, inputs, outputs, draft_.services->options, packs_, draft_.services->compile_body};
    subject.kernel = option.candidate->prepare(context);
    subject.state = subject.kernel->make_state();
    const auto room = [&subject](const TensorDesc& desc) {
      const size_t bytes = physical_bytes(desc, desc.layout);
      subject.buffers.push_back(Buffer::allocate(std::max<size_t>(bytes, 1)));
      return std::pair(subject.buffers.back()->data(), bytes);
    };
    const uint32_t unread = subject.kernel->unread_inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      subject.pointers.push_back(nullptr);
      if (node.inputs[i] == kNoValue || (i < 32 && (unread >> i) & 1u)) continue;
      if (inputs[i].constant) {
        // `run` may not write to its inputs.
        subject.pointers.back() = const_cast<std::byte*>(inputs[i].constant->raw());
        continue;
      }
      const auto [data, bytes] = room(inputs[i]);
      fill(data, bytes, inputs[i].type);
      subject.fed.emplace_back(data, bytes);
      subject.pointers.back() = data;
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      subject.pointers.push_back(node.outputs[i] == kNoValue ? nullptr : room(outputs[i]).first);
    if (const size_t bytes = subject.kernel->workspace_bytes()) subject.workspace = Buffer::allocate(bytes);
    return subject;
  }

  // Ordinary numbers: neither zeros nor ones that are too small for the normal form.
  static void fill(std::byte* data, size_t bytes, DataType type) {
    if (type != DataType::Float) {
      std::fill_n(data, bytes, std::byte{1});
      return;
    }
    uint32_t state = 1;
    auto* const items = reinterpret_cast<float*>(data);
    for (size_t i = 0; i < bytes / sizeof(float); ++i) {
      state = state * 1664525u + 1013904223u;
      items[i] = static_cast<float>(state >> 8) / static_cast<float>(1u << 23) - 1.0f;
    }
  }

  // Reads memory through by all threads, which puts it into the caches, and puts other things out.
  void touch(const std::byte* data, size_t bytes) {
    std::atomic<uint64_t> sink{0};
    parallel_.range(static_cast<int64_t>(bytes / 64), 256, [&](int64_t begin, int64_t end) {
      uint64_t sum = 0;
      for (int64_t i = begin; i < end; ++i) sum += static_cast<uint64_t>(data[i * 64]);
      sink.fetch_add(sum, std::memory_order_relaxed);
    });
  }

  // Puts everything else out of the caches.
  void evict() {
    if (!other_) {
      constexpr size_t kMost = size_t{64} << 20;
      other_ = Buffer::allocate(std::min(cache_sizes().l3, kMost));
      std::fill_n(other_->data(), other_->bytes(), std::byte{1});
    }
    touch(other_->data(), other_->bytes());
  }

  // With the caches as a run of the whole model finds them: maps that were just written are there.
  double time(const Subject& subject) {
    for (const auto& [data, bytes] : subject.fed) touch(data, bytes);
    const KernelArgs args{subject.pointers.data(),
                          static_cast<int>(subject.pointers.size()) - num_outputs_,
                          subject.workspace ? subject.workspace->data() : nullptr,
                          subject.state.get(),
                          parallel_,
                          nullptr};
    const auto begin = Clock::now();
    subject.kernel->run(args);
    return seconds_since(begin) * 1e9;
  }

  // Times the options in turn; nothing where the time does not last.
  std::vector<Trial> measure(const PlannedNode& planned, std::span<const size_t> hopeful) {
    const auto begin = Clock::now();
    const double allowed = times_.seconds_left();
    const ReadScope scope;
    num_outputs_ = static_cast<int>(planned.outputs.size());
    size_t constants = 0;
    for (const TensorDesc& desc : planned.inputs)
      if (desc.constant) constants += desc.constant->bytes();
    // Weights that no cache holds from one run of the model to the next come from memory here, too.
    const bool from_memory = cold_ && constants >= kCachedBytes;
    double estimate = 0;
    for (const size_t o : hopeful) estimate += planned.options[o].cost * 1e-9 * kRounds;
    if (estimate > allowed) return {};
    std::vector<Trial> trials;
    try {
      std::vector<Subject> subjects;
      for (const size_t o : hopeful) {
        subjects.push_back(ready(planned, planned.options[o]));
        time(subjects.back());
        if (seconds_since(begin) > allowed) break;
      }
      bool whole = subjects.size() == hopeful.size();
      for (int round = 0; whole && round < kRounds; ++round) {
        if (from_memory) evict();
        for (size_t i = 0; i < subjects.size(); ++i) {
          // Another one begins each time.
          Subject& subject = subjects[(i + static_cast<size_t>(round)) % subjects.size()];
          if (!subject.dropped) subject.times.push_back(time(subject));
        }
        whole = seconds_since(begin) <= allowed || round + 1 == kRounds;
        if (round == 1) drop_slow(subjects);
      }
      for (size_t i = 0; whole && i < subjects.size(); ++i) {
        const Option& option = planned.options[hopeful[i]];
        trials.push_back({option.candidate->name, option.variant.in, option.variant.out, std::move(subjects[i].times)});
      }
    } catch (const Error&) {
      trials.clear();  // the plan itself will say what is wrong, if the option is chosen
    }
    times_.spend(seconds_since(begin));
    return trials;
  }

  static void drop_slow(std::vector<Subject>& subjects) {
    const auto least = [](const Subject& subject) {
      return *std::min_element(subject.times.begin(), subject.times.end());
    };
    double best = least(subjects.front());
    for (const Subject& subject : subjects) best = std::min(best, least(subject));
    for (Subject& subject : subjects) subject.dropped = least(subject) > kBehind * best;
  }

  // Times in the place of costs. The rule's option keeps its advantage wherever another one is not clearly faster.
  static bool apply(PlannedNode& planned, std::span<const Trial> trials) {
    const auto find = [&](const Option& option) {
      return std::find_if(trials.begin(), trials.end(), [&](const Trial& trial) {
        return trial.candidate == option.candidate->name && trial.in == option.variant.in &&
               trial.out == option.variant.out;
      });
    };
    const auto rule = find(planned.option());
    if (rule == trials.end()) return false;
    const Option chosen = planned.option();
    std::string note = "measured:";
    for (Option& option : planned.options) {
      const auto trial = find(option);
      option.beaten = trial == trials.end();
      if (option.beaten) continue;
      option.cost = trial->least();
      if (trial != rule && !clearly_faster(*trial, *rule))
        option.cost = std::max(option.cost, rule->least() * kDoubtful);
      char text[160];
      std::snprintf(text, sizeof(text), "%s %s (%s -> %s) %.1f us", note.back() == ':' ? "" : ",",
                    option.candidate->name, std::string(name(option.variant.in)).c_str(),
                    std::string(name(option.variant.out)).c_str(), trial->least() / 1000);
      note += text;
    }
    planned.notes.push_back(note + "; the cost rule's choice: " + chosen.candidate->name + " (" +
                            std::string(name(chosen.variant.in)) + " -> " + std::string(name(chosen.variant.out)) +
                            ")");
    return true;
  }

  Draft& draft_;
  MeasuredTimes& times_;
  Parallel parallel_;
  TrialPacks packs_;
  bool cold_ = false;
  int num_outputs_ = 0;
  std::shared_ptr<Buffer> other_;  // what fills the caches between two runs
};

}  // namespace

bool clearly_faster(const Trial& trial, const Trial& than) {
  const size_t rounds = std::min(trial.times.size(), than.times.size());
  size_t won = 0;
  for (size_t i = 0; i < rounds; ++i) won += trial.times[i] < kMargin * than.times[i];
  return trial.least() < kMargin * than.least() && 4 * won >= 3 * rounds;
}

bool use_measured_times(Draft& draft) { return Trials(draft).run(); }

}  // namespace fastort
