import Foundation
import Geography
import Testing

extension Place {
    init(_ latitude: Double, _ longitude: Double) {
        self.init(wrapping: latitude, longitude)
    }

    init(_ pair: [Double]) {
        self.init(wrapping: pair[0], pair[1])
    }
}

/// Lisbon, at the Praça do Comércio.
let lisbon = Place(38.7075, -9.1364)
/// A time that has no fraction.
let noon = Date(timeIntervalSince1970: 1_700_000_000)

/// Reads a file that `Oracles/generate.py` wrote.
func fixture<Value: Decodable>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
    let url = try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: "json"))
    return try JSONDecoder().decode(type, from: Data(contentsOf: url))
}

extension Fix {
    /// A fix whose report took no time.
    init(_ place: Place, at seconds: Double, accuracy: Double? = nil) {
        self.init(place: place, deviceTime: noon + seconds, receivedAt: noon + seconds, accuracy: accuracy)
    }
}

/// Writes an export for `Oracles/check_exports.py`, if the environment names a folder.
func export(_ text: String, as name: String) throws {
    guard let folder = ProcessInfo.processInfo.environment["GEOGRAPHY_EXPORTS"] else { return }
    try Data(text.utf8).write(to: URL(filePath: folder).appending(path: name))
}
