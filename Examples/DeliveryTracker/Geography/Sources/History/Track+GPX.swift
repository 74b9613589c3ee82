package import FoundationEssentials

extension Track {
    /// Returns the track as GPX 1.1, in pieces of text that are made as they are asked for.
    /// - Parameter gap: The time between two fixes in seconds, above which a new track segment starts.
    package func gpx(gap: TimeInterval = 300) -> some Sequence<String> & Sendable {
        var pieces: [GPXPiece] = [.text(Self.gpxStart), .text("<name>\(ExportText.xml(name))</name>\n")]
        for segment in segments(gap: gap) {
            pieces.append(.text("<trkseg>\n"))
            pieces += segment.pieces.map { .points($0) }
            pieces.append(.text("</trkseg>\n"))
        }
        pieces.append(.text("</trk>\n</gpx>\n"))
        return TextPieces(pieces: pieces) { $0.text }
    }

    private static let gpxStart = """
        <?xml version="1.0" encoding="UTF-8"?>
        <gpx version="1.1" creator="DeliveryTracker" xmlns="http://www.topografix.com/GPX/1/1">
        <trk>

        """
}

private enum GPXPiece: Sendable {
    case text(String)
    case points(ArraySlice<Fix>)

    var text: String {
        switch self {
        case .text(let text): text
        case .points(let fixes): fixes.map(Self.point).joined()
        }
    }

    private static func point(_ fix: Fix) -> String {
        let latitude = ExportText.degrees(fix.place.latitude)
        let longitude = ExportText.degrees(fix.place.longitude)
        // The type longitudeType of the schema excludes 180.
        let wrapped = longitude == "180" ? "-180" : longitude
        return "<trkpt lat=\"\(latitude)\" lon=\"\(wrapped)\"><time>\(ExportText.time(fix.time))</time></trkpt>\n"
    }
}
