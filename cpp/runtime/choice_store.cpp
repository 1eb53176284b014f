#include "runtime/choice_store.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "base/digest.h"
#include "base/fork.h"
#include "base/whole_file.h"

namespace fastort {
namespace {

constexpr size_t kMaxBytes = size_t{4} << 20;
constexpr auto kLastLayout = static_cast<int64_t>(Layout::C16);

// One object for each file, and one without a file, in a process.
std::shared_ptr<RecordFile> records_of(const std::string& folder) {
  namespace fs = std::filesystem;
  static std::mutex mutex;
  static auto* const files = new std::map<std::string, std::shared_ptr<RecordFile>>;
  std::string path;
  if (!folder.empty()) {
    std::error_code error;
    const fs::path absolute = fs::absolute(folder, error);
    path = ((error ? fs::path(folder) : absolute.lexically_normal()) / ("choices" + std::string(RecordFile::kSuffix)))
               .string();
  }
  const ForkGuard guard;
  const std::lock_guard lock(mutex);
  auto& file = (*files)[path];
  if (!file) file = std::make_shared<RecordFile>(path, kMaxBytes);
  return file;
}

std::string key_of(const std::string& node) {
  Digest digest;
  digest.add(machine_key());
  digest.add(std::string_view("\0", 1));
  digest.add(node);
  return digest.bytes();
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t end = 0; end != line.npos; line.remove_prefix(std::min(end + 1, line.size()))) {
    end = line.find('\t');
    fields.push_back(line.substr(0, end));
    if (end == line.npos) break;
  }
  return fields;
}

// -1 where the text is no number.
int64_t number_of(std::string_view text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

}  // namespace

ChoiceStore::ChoiceStore(const std::string& folder, double seconds)
    : records_(records_of(folder)), on_disk_(!folder.empty()), seconds_(seconds) {}

// A trial is "candidate\tin\tout", a tab and a whole number for each time, and the end of a line.
void ChoiceStore::add(const std::string& node, std::span<const Trial> trials) {
  std::string text;
  for (const Trial& trial : trials) {
    text += trial.candidate + '\t' + std::to_string(static_cast<int>(trial.in)) + '\t' +
            std::to_string(static_cast<int>(trial.out));
    for (const double time : trial.times) text += '\t' + std::to_string(static_cast<int64_t>(time));
    text += '\n';
  }
  records_->put(key_of(node), std::move(text));
}

std::vector<Trial> ChoiceStore::find(const std::string& node) {
  const std::optional<std::string> record = records_->find(key_of(node));
  std::vector<Trial> trials;
  std::string_view text = record ? std::string_view(*record) : std::string_view();
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::vector<std::string_view> fields = split(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    std::vector<int64_t> numbers;
    for (size_t i = 1; i < fields.size(); ++i) numbers.push_back(number_of(fields[i]));
    const bool good = numbers.size() >= 3 && numbers[0] <= kLastLayout && numbers[1] <= kLastLayout &&
                      std::all_of(numbers.begin(), numbers.end(), [](int64_t number) { return number >= 0; });
    if (!good) return {};
    trials.push_back({std::string(fields[0]),
                      static_cast<Layout>(numbers[0]),
                      static_cast<Layout>(numbers[1]),
                      {numbers.begin() + 2, numbers.end()}});
  }
  return trials;
}

void ChoiceStore::spend(double seconds) {
  double left = seconds_.load();
  while (!seconds_.compare_exchange_weak(left, std::max(0.0, left - seconds))) {
  }
}

void ChoiceStore::settle() {
  if (on_disk_) records_->save();
}

}  // namespace fastort
