import FoundationEssentials

/// A place in an array.
struct IndexKey: CodingKey {
    let index: Int

    init(_ index: Int) { self.index = index }
    init?(intValue: Int) { self.init(intValue) }
    init?(stringValue: String) { nil }

    var intValue: Int? { index }
    var stringValue: String { "Index \(index)" }
}

/// A name in an object.
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
    /// A key as the strategy has it. Names that were converted once are kept for the document.
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
    /// `imageURLString` as `image_url_string`, by Foundation's rules.
    ///
    /// A word begins at each capital, and of several capitals the last belongs to the next word: a word begins right
    /// before the first small letter that follows them.
    var snakeCased: String {
        let characters = Array(self)
        var starts: Set<Int> = []
        var index = 1
        while let capital = characters.firstIndex(from: index, where: \.isUppercase) {
            starts.insert(capital)
            guard let small = characters.firstIndex(from: capital, where: \.isLowercase) else { break }
            if small > capital + 1 { starts.insert(small - 1) }
            index = small + 1
        }
        return characters.indices
            .map { (starts.contains($0) ? "_" : "") + characters[$0].lowercased() }.joined()
    }

    /// `image_url` as `imageUrl`, by Foundation's rules: underscores at both ends stay, and so does a single word.
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
