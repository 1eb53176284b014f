#include "providers/vulkan/tuner.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/digest.h"
#include "base/whole_file.h"
#include "ops/gpu/fill.h"
#include "plan/choices.h"
#include "plan/device_part.h"
#include "plan/step_list.h"
#include "providers/vulkan/pipelines.h"
#include "providers/vulkan/segment.h"

namespace fastort::vulkan {
namespace {

using Clock = std::chrono::steady_clock;

// Words of the option `kernels`. A node has few of them: what makes the same work is tried once.
constexpr const char* kWays[] = {"matrices+large",
                                 "matrices+medium",
                                 "matrices+small",
                                 "matrices+large+split4",
                                 "matrices+medium+split2",
                                 "matrices+medium+split4",
                                 "matrices+small+split4",
                                 "matrices+small+split16",
                                 "tiles+large",
                                 "tiles+medium",
                                 "tiles+small",
                                 "rows",
                                 "rows+split4",
                                 "rows+split16",
                                 "direct",
                                 "winograd",
                                 "no-winograd"};
// Times of each way; the first run, which touches new memory, is not among them.
constexpr int kRounds = 5;
// A way that is so much slower than the best is not timed again.
constexpr double kBehind = 2;
// Memory that trials may take.
constexpr size_t kMostBytes = size_t{1} << 30;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

size_t bytes_of(const TensorDesc& desc) {
  return desc.type == DataType::Undefined ? 0 : physical_bytes(desc, Layout::Plain);
}

// One way, ready to be timed: inputs are filled, which also puts them where a node before would have left them.
class Subject {
 public:
  Subject(const std::shared_ptr<Device>& device, const Options& options, const DeviceForm& form) {
    constexpr int kFill = 0;
    // A small number as float32, and twice one as float16.
    constexpr uint32_t kNumber = 0x3c003c00;
    const GpuTraits& traits = device->info().traits;
    DevicePart part;
    part.begin_segment();
    std::vector<DeviceOperand> inputs, outputs;
    for (const TensorDesc& desc : form.inputs) {
      inputs.emplace_back();
      const size_t bytes = bytes_of(desc);
      if (bytes == 0) continue;
      inputs.back() = part.add_tensor(bytes);
      GpuWork fill;
      const auto words = static_cast<int64_t>(bytes / sizeof(kNumber));
      if (words == 0 || gpu::add_fill(fill, GpuWork::output(0), words, std::as_bytes(std::span(&kNumber, 1)), traits))
        continue;
      part.add_work(kFill, "", std::move(fill), {}, std::span(&inputs.back(), 1));
    }
    for (const TensorDesc& desc : form.outputs) {
      outputs.emplace_back();
      if (const size_t bytes = bytes_of(desc)) outputs.back() = part.add_tensor(bytes);
    }
    part.add_work(kTrial, "", form.work, inputs, outputs);
    part.end_segment();
    DevicePlan plan = part.finish();
    if (plan.arena_bytes > kMostBytes) fail(ErrorCode::Fail, "the trial takes too much memory");
    state_ = std::make_unique<RunState>(std::make_shared<CompiledPlan>(device, std::move(plan), options));
    state_->measure(true);
  }

  double time() {
    const Parallel parallel(ThreadPool::instance(), 1);
    state_->run(0, KernelArgs{nullptr, 0, nullptr, state_.get(), parallel, nullptr});
    state_->end();
    double nanoseconds = 0;
    for (const DeviceTime& stretch : state_->times())
      if (stretch.node == kTrial) nanoseconds += static_cast<double>(stretch.duration_ns);
    return nanoseconds;
  }

  Trial trial;
  bool dropped = false;

 private:
  static constexpr int kTrial = 1;
  std::unique_ptr<RunState> state_;
};

// Rounds in which the ways take turns. False where the time did not last.
bool take_turns(std::vector<std::unique_ptr<Subject>>& subjects, Clock::time_point begin, double allowed) {
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < subjects.size(); ++i) {
      // Another one begins each time.
      Subject& subject = *subjects[(i + static_cast<size_t>(round)) % subjects.size()];
      if (!subject.dropped) subject.trial.times.push_back(subject.time());
    }
    double best = subjects.front()->trial.least();
    for (const auto& subject : subjects) best = std::min(best, subject->trial.least());
    for (const auto& subject : subjects) subject->dropped = subject->trial.least() > kBehind * best;
    if (seconds_since(begin) > allowed && round + 1 < kRounds) return false;
  }
  return true;
}

DeviceChoice choose(std::span<const std::unique_ptr<Subject>> subjects) {
  const Trial& rule = subjects.front()->trial;
  const Trial* best = &rule;
  DeviceChoice choice;
  choice.note = "measured:";
  for (const auto& subject : subjects) {
    const Trial& trial = subject->trial;
    char text[96];
    std::snprintf(text, sizeof(text), "%s %s %.1f us", &subject == &subjects.front() ? "" : ",",
                  trial.candidate.empty() ? "by rule" : trial.candidate.c_str(), trial.least() / 1000);
    choice.note += text;
    if (&trial != &rule && clearly_faster(trial, rule) && trial.least() < best->least()) best = &trial;
  }
  choice.way = best->candidate;
  return choice;
}

}  // namespace

Tuner::Tuner(std::shared_ptr<Device> device, const Options& options, const GpuTraits& traits)
    : device_(std::move(device)),
      options_(options),
      seconds_(options.tune == Tune::Measure ? options.tune_seconds : 0) {
  for (const char* words : kWays) {
    DeviceWay way{words, traits};
    apply_kernels(words, way.traits);
    ways_.push_back(std::move(way));
  }
}

std::string Tuner::key_of(const DeviceForm& rule) const {
  std::string text = machine_key() + '/' + device_->pipelines(options_.cache_dir).device_key() + '/' +
                     std::to_string(static_cast<int>(options_.half));
  const auto add = [&text](const auto& numbers) {
    text += " [";
    for (const auto number : numbers) text += std::to_string(number) + ',';
  };
  for (const auto* descs : {&rule.inputs, &rule.outputs}) {
    text += " |";
    for (const TensorDesc& desc : *descs)
      text += ' ' + std::string(name(desc.type)) + to_string(desc.shape) + (desc.constant ? "c" : "");
  }
  for (const GpuDispatch& dispatch : rule.work.dispatches) {
    text += " | " + std::string(dispatch.shader) + (dispatch.half ? ".f16" : "");
    add(dispatch.constants);
    add(dispatch.push.words());
    add(dispatch.groups);
    for (const GpuOperand& operand : dispatch.operands)
      text += ' ' + std::to_string(static_cast<int>(operand.kind)) + ':' + std::to_string(operand.index);
  }
  add(rule.work.scratch_bytes);
  Digest digest;
  digest.add(text);
  return digest.bytes();
}

std::optional<DeviceChoice> Tuner::find(const DeviceForm& rule) {
  const auto record = device_->pipelines(options_.cache_dir).choices().find(key_of(rule));
  if (!record) return std::nullopt;
  const size_t end = record->find('\n');
  if (end == std::string::npos) return std::nullopt;
  DeviceChoice choice{record->substr(0, end), record->substr(end + 1)};
  const bool known = choice.way.empty() || std::any_of(ways_.begin(), ways_.end(),
                                                       [&](const DeviceWay& way) { return way.name == choice.way; });
  return known ? std::optional(std::move(choice)) : std::nullopt;
}

std::optional<DeviceChoice> Tuner::measure(std::span<const DeviceTrial> trials) {
  // Others on the device would be in the times; sessions take turns.
  static std::mutex turns;
  const std::lock_guard lock(turns);
  const double allowed = seconds_.load(std::memory_order_relaxed);
  if (allowed <= 0) return std::nullopt;
  const auto begin = Clock::now();
  std::vector<std::unique_ptr<Subject>> subjects;
  bool whole = true;
  for (const DeviceTrial& trial : trials) {
    try {
      auto subject = std::make_unique<Subject>(device_, options_, trial.form);
      subject->time();
      subject->trial.candidate = trial.way;
      subjects.push_back(std::move(subject));
    } catch (const Error&) {
      // The plan itself will say what is wrong with the rule's way; another one is not taken.
      if (device_->lost()) throw;
      whole = !trial.way.empty();
    }
    whole = whole && seconds_since(begin) <= allowed;
    if (!whole) break;
  }
  std::optional<DeviceChoice> choice;
  try {
    if (whole && take_turns(subjects, begin, allowed)) choice = choose(subjects);
  } catch (const Error&) {
    if (device_->lost()) throw;
  }
  seconds_.store(allowed - seconds_since(begin), std::memory_order_relaxed);
  if (choice)
    device_->pipelines(options_.cache_dir)
        .choices()
        .put(key_of(trials.front().form), choice->way + '\n' + choice->note);
  return choice;
}

void Tuner::settle() { device_->pipelines(options_.cache_dir).choices().save(); }

}  // namespace fastort::vulkan
