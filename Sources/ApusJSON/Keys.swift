import FoundationEssentials

/// A coding key for an index in an array.
struct IndexKey: CodingKey {
    let index: Int

    init(_ index: Int) { self.index = index }
    init?(intValue: Int) { self.init(intValue) }
    init?(stringValue: String) { nil }

    var intValue: Int? { index }
    var stringValue: String { "Index \(index)" }
}

/// A coding key for a name in an object.
struct NameKey: CodingKey {
    let stringValue: String

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }

    var intValue: Int? { nil }
}

extension JSONEncoder.KeyEncodingStrategy {
    @inline(__always) var convertsKeys: Bool {
        if case .useDefaultKeys = self { return false }
        return true
    }
}

extension JSONDecoder.KeyDecodingStrategy {
    @inline(__always) var convertsKeys: Bool {
        if case .useDefaultKeys = self { return false }
        return true
    }
}

extension ByteWriter {
    /// Returns the key converted by the key strategy. Snake-case conversions are cached for the document.
    func converted(_ key: some CodingKey, at path: [any CodingKey]) -> String {
        switch options.keyEncodingStrategy {
        case .useDefaultKeys: return key.stringValue
        case .custom(let convert): return convert(path + [key]).stringValue
        case .convertToSnakeCase: fallthrough
        @unknown default:
            let name = key.stringValue
            if let known = convertedKeys[name] { return known }
            let converted = name.snakeCased
            convertedKeys[name] = converted
            return converted
        }
    }
}

extension String {
    /// The name in snake case by Foundation's rules: `imageURLString` becomes `image_url_string`.
    ///
    /// A word begins at each uppercase letter. In a run of uppercase letters followed by a lowercase one, the last
    /// uppercase letter begins the next word.
    var snakeCased: String {
        let characters = Array(self)
        var starts: Set<Int> = []
        var index = 1
        while let uppercase = characters.firstIndex(from: index, where: \.isUppercase) {
            starts.insert(uppercase)
            guard let lowercase = characters.firstIndex(from: uppercase, where: \.isLowercase) else { break }
            if lowercase > uppercase + 1 { starts.insert(lowercase - 1) }
            index = lowercase + 1
        }
        return characters.indices
            .map { (starts.contains($0) ? "_" : "") + characters[$0].lowercased() }.joined()
    }

    /// The name in camel case by Foundation's rules: `image_url` becomes `imageUrl`.
    ///
    /// Leading and trailing underscores are kept. A name of a single word is unchanged.
    var camelCasedFromSnake: String {
        guard let first = firstIndex(where: { $0 != "_" }), let last = lastIndex(where: { $0 != "_" }) else {
            return self
        }
        let words = self[first...last].split(separator: "_")
        guard words.count > 1 else { return self }
        let joined = words.dropFirst()
            .reduce(into: words[0].lowercased()) { $0 += $1.capitalized }
        return self[..<first] + joined + self[index(after: last)...]
    }
}

extension [Character] {
    fileprivate func firstIndex(from start: Int, where matches: (Character) -> Bool) -> Int? {
        start < count ? self[start...].firstIndex(where: matches) : nil
    }
}
