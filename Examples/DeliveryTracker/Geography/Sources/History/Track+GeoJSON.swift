package import FoundationEssentials

extension Track {
    /// Returns the track as a Feature of GeoJSON (RFC 7946), in pieces of text that are made as they are asked for.
    ///
    /// The geometry is a LineString, or a MultiLineString if the track has gaps or crosses the antimeridian. The property
    /// `coordTimes` has the time of each position, in the same structure. A part of one fix is a line of two equal
    /// positions, as a line must have two. Without fixes, the geometry is null.
    /// - Parameter gap: The time between two fixes in seconds, above which a new line starts.
    package func geoJSON(gap: TimeInterval = 300) -> some Sequence<String> & Sendable {
        let lines = segments(gap: gap).flatMap(Self.lines)
        var pieces: [GeoJSONPiece] = [.text("{\"type\":\"Feature\",\"geometry\":")]
        if lines.isEmpty {
            pieces.append(.text("null"))
        } else {
            pieces.append(
                .text("{\"type\":\"\(lines.count == 1 ? "LineString" : "MultiLineString")\",\"coordinates\":"))
            pieces += Self.nested(lines) { .positions($0) }
            pieces.append(.text("}"))
        }
        pieces.append(.text(",\"properties\":{\"name\":\(ExportText.json(name)),\"coordTimes\":"))
        pieces += lines.isEmpty ? [.text("[]")] : Self.nested(lines) { .times($0) }
        pieces.append(.text("}}"))
        return TextPieces(pieces: pieces) { $0.text }
    }

    /// A part of a line: fixes, and whether a comma precedes them.
    fileprivate struct Run: Sendable {
        let points: ArraySlice<TrackPoint>
        let isFirst: Bool
    }

    private static func nested(_ lines: [[TrackPoint]], _ piece: (Run) -> GeoJSONPiece) -> [GeoJSONPiece] {
        var pieces: [GeoJSONPiece] = []
        for line in lines {
            pieces.append(.text(pieces.isEmpty ? "[" : ",["))
            for points in line[...].pieces {
                pieces.append(piece(Run(points: points, isFirst: points.startIndex == 0)))
            }
            pieces.append(.text("]"))
        }
        return lines.count == 1 ? pieces : [.text("[")] + pieces + [.text("]")]
    }

    /// The lines of a segment, which is cut where it crosses the antimeridian (RFC 7946, section 3.1.9).
    private static func lines(_ segment: ArraySlice<Fix>) -> [[TrackPoint]] {
        var lines: [[TrackPoint]] = []
        var line: [TrackPoint] = []
        for fix in segment {
            let point = TrackPoint(longitude: fix.place.longitude, latitude: fix.place.latitude, time: fix.time)
            if let last = line.last, let (end, start) = last.crossing(to: point) {
                lines.append(line + [end])
                line = [start]
            }
            line.append(point)
        }
        if line.count == 1 { line += line }
        return lines + [line]
    }
}

private struct TrackPoint: Sendable {
    let longitude: Double
    let latitude: Double
    let time: Date

    /// Returns the point on the antimeridian where the shorter way to another point crosses it, as seen from both sides.
    func crossing(to other: TrackPoint) -> (TrackPoint, TrackPoint)? {
        guard abs(other.longitude - longitude) > 180 else { return nil }
        let border = longitude > 0 ? 180.0 : -180.0
        let width = Longitude.difference(from: longitude, to: other.longitude)
        let fraction = width == 0 ? 0 : (border - longitude) / width
        let latitude = latitude + (other.latitude - latitude) * fraction
        let time = time + other.time.timeIntervalSince(time) * fraction
        return (
            TrackPoint(longitude: border, latitude: latitude, time: time),
            TrackPoint(longitude: -border, latitude: latitude, time: time)
        )
    }
}

private enum GeoJSONPiece: Sendable {
    case text(String)
    case positions(Track.Run)
    case times(Track.Run)

    var text: String {
        switch self {
        case .text(let text): text
        case .positions(let run):
            list(run) { "[\(ExportText.degrees($0.longitude)),\(ExportText.degrees($0.latitude))]" }
        case .times(let run): list(run) { "\"\(ExportText.time($0.time))\"" }
        }
    }

    private func list(_ run: Track.Run, _ element: (TrackPoint) -> String) -> String {
        (run.isFirst ? "" : ",") + run.points.map(element).joined(separator: ",")
    }
}
