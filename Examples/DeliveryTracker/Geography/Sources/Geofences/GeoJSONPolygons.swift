/// The geometry of a Polygon or a MultiPolygon in GeoJSON (RFC 7946, section 3.1).
struct GeoJSONPolygons: Codable {
    /// Polygons of rings of positions of a longitude and a latitude, and other numbers that are ignored.
    let polygons: [[[[Double]]]]

    private enum CodingKeys: CodingKey {
        case type, coordinates
    }

    init(polygons: [[[[Double]]]]) {
        self.polygons = polygons
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        switch try container.decode(String.self, forKey: .type) {
        case "Polygon": polygons = [try container.decode([[[Double]]].self, forKey: .coordinates)]
        case "MultiPolygon": polygons = try container.decode([[[[Double]]]].self, forKey: .coordinates)
        case let type: throw GeofenceError.unsupportedType(type)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if polygons.count == 1 {
            try container.encode("Polygon", forKey: .type)
            try container.encode(polygons[0], forKey: .coordinates)
        } else {
            try container.encode("MultiPolygon", forKey: .type)
            try container.encode(polygons, forKey: .coordinates)
        }
    }
}

// MARK: Conversions

extension GeoJSONPolygons {
    /// Cuts the polygons at the antimeridian, and turns outer rings counter-clockwise and holes clockwise
    /// (RFC 7946, sections 3.1.9 and 3.1.6).
    init(_ polygons: [Polygon]) {
        self.polygons = polygons.flatMap(\.partsBetweenAntimeridians).map { rings in
            rings.map { ring in (ring + ring.prefix(1)).map { [$0.x, $0.y] } }
        }
    }

    /// Returns the polygons.
    /// - Throws: A ``GeofenceError``, a ``PlaceError``, or an ``GeoJSONError``.
    func validated() throws -> [Polygon] {
        try polygons.map { rings in
            let places = try rings.enumerated().map { index, positions in
                let places = try positions.map(Self.place)
                guard let first = places.first, first == places.last else {
                    throw GeofenceError.notClosed(ring: index)
                }
                return places
            }
            return try Polygon(outer: places.first ?? [], holes: Array(places.dropFirst()))
        }
    }

    private static func place(_ position: [Double]) throws -> Place {
        guard position.count >= 2 else { throw GeoJSONError.positionTooShort(position.count) }
        return try Place(latitude: position[1], longitude: position[0])
    }
}

/// The reason why GeoJSON is not a geometry.
package enum GeoJSONError: Error, Equatable {
    /// A position of fewer than two numbers.
    case positionTooShort(Int)
}

extension Polygon: Codable {
    /// Decodes a GeoJSON Polygon.
    /// - Throws: A ``GeofenceError``, ``PlaceError`` or ``GeoJSONError`` that says what is wrong, or a `DecodingError`.
    package init(from decoder: any Decoder) throws {
        let polygons = try GeoJSONPolygons(from: decoder).validated()
        guard polygons.count == 1 else { throw GeofenceError.numberOfPolygons(polygons.count) }
        self = polygons[0]
    }

    /// Encodes a GeoJSON Polygon, or a MultiPolygon if the polygon crosses the antimeridian.
    package func encode(to encoder: any Encoder) throws {
        try GeoJSONPolygons([self]).encode(to: encoder)
    }
}

extension MultiPolygon: Codable {
    /// Decodes a GeoJSON Polygon or MultiPolygon.
    /// - Throws: As ``Polygon``.
    package init(from decoder: any Decoder) throws {
        try self.init(try GeoJSONPolygons(from: decoder).validated())
    }

    /// Encodes a GeoJSON Polygon if there is one part, otherwise a MultiPolygon.
    package func encode(to encoder: any Encoder) throws {
        try GeoJSONPolygons(polygons).encode(to: encoder)
    }
}
